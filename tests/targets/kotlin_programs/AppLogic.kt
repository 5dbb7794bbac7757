import edgedeploy.*
import edgedeploy.app.*
import java.io.File
import javax.imageio.ImageIO

private fun said(what: () -> Any?): String = try {
    what().toString()
} catch (error: RuntimeException) {
    "${error::class.simpleName}: ${error.message}"
}

private fun show(crop: SquareCrop) = "${crop.left} ${crop.top} ${crop.side}"

private fun show(box: Box) = "${box.left} ${box.top} ${box.width} ${box.height}"

private fun json(folder: File) {
    for (line in File(folder, "json.txt").readLines()) println(said { parseJson(line) })
    println(said { parseJson("[".repeat(100_000)) })
}

private fun contract(folder: File) {
    val contract = Contract.parse(File(folder, "contract.json").readText())
    println("${contract.model}, ${contract.title}, ${contract.default}, ${contract.variants.keys}")
    println("${contract.shapes?.describe()}, ${contract.operators}, ${contract.alphaOver}, ${contract.exif}")
    println(contract.labels(File(folder, contract.labelsFile).readText()))
    println(said { contract.labels("one\n") })
    val variant = contract.variants.getValue("int8")
    println(variant)
    for (vector in contract.golden) {
        val image = ImageIO.read(File(folder, vector.file))
        val pixels = image.getRGB(0, 0, image.width, image.height, null, 0, image.width)
        val rgb = contract.pipeline.fit(Rgb.ofPixels(image.width, image.height, pixels, contract.alphaOver))
        println(said { checkRgb(vector, rgb) })
        val tensor = normalise(rgb, contract.pipeline)
        println(said { checkTensor(vector, tensor) })
        println(said { checkRgb(vector, Rgb(rgb.width, rgb.height, rgb.bytes.copyOf().also { it[0]++ })) }.take(60))
        tensor[0] += 0.01f
        println(said { checkTensor(vector, tensor) }.take(60))
    }
    val promise = contract.golden[0].expected.getValue("int8")
    val step = variant.output.scale.toFloat()
    for (scores in listOf(
        floatArrayOf(0.25f, 0.5f, 0.25f),
        floatArrayOf(0.25f + step, 0.5f - step, 0.25f),
        floatArrayOf(0.25f + 2 * step, 0.5f, 0.25f),
        floatArrayOf(Float.NaN, 0.5f, 0.25f),
        floatArrayOf(0.25f, 0.5f),
    )) println(said { checkScores(promise, scores, variant) })
    val file = java.nio.ByteBuffer.wrap("abc".toByteArray())
    println(said { checkDigest(variant, file) })
    println(said { checkDigest(variant.copy(sha256 = File(folder, "abc.sha256").readText()), file) })
    for (file in folder.listFiles { it -> it.name.startsWith("bad-") }!!.sorted()) {
        println(said { Contract.parse(file.readText()) })
    }
}

private fun screen() {
    val crop = SquareCrop.centred(400, 300)
    println("${show(crop)}, ${show(crop.box())}")
    println(show(crop.dragged(0.1, 0.5)))
    println(show(crop.dragged(-9.0, 0.0)))
    println(show(crop.pinched(2.0, 0.0, 1.0)))
    println(show(crop.pinched(2.0, 0.5, 0.5).pinched(0.5, 0.5, 0.5)))
    println(show(crop.pinched(1000.0, 0.5, 0.5)))
    println(listOf(0.0, Double.NaN, -1.0, Double.POSITIVE_INFINITY).map { crop.pinched(it, 0.5, 0.5) == crop })
    println(show(SquareCrop.restored(400, 300, 390.0, -3.0, 100.0)))
    println(show(SquareCrop.restored(400, 300, Double.NaN, 0.0, 100.0)))
    println(show(SquareCrop.restored(1, 5, 0.0, 9.0, 50.0).box()))
    println(show(SquareCrop.restored(401, 300, 300.6, 0.4, 100.4).box()))
    println(listOf(128L shl 20, 0L, Long.MAX_VALUE).map { pixelBudget(it) })
    println(listOf(12_000 to 9_000, 1_000 to 1_000, 100_000 to 3, 2_001 to 2_000).map { (w, h) -> sampleSize(w, h, 1_000_000) })
    println(said { sampleSize(-1, -1, 10) })
    val sizes = listOf(PictureSize(1920, 1080), PictureSize(640, 480), PictureSize(320, 240))
    println(listOf(1, 299, 481, 5000).map { frameSize(sizes, it) })
    println(listOf(0, 90, 180, 270).map { display -> frameOrientation(90, display, false) })
    println(listOf(0, 90, 180, 270).map { display -> frameOrientation(270, display, true) })
    println(said { frameOrientation(45, 0, false) })
    val latencies = Latencies(3)
    println(listOf(9.0, 1.0, 5.0, 7.0).map { latencies.add(it) })
    val session = SavedSession("content://a/\"b\\\n\u00e9", SavedSquare(1.5, 0.0, 1e-9), "int8", 4)
    println(SavedSession.ofText(session.toText()) == session)
    println(SavedSession.ofText(session.copy(picture = null).toText())?.picture)
    println(SavedSession.ofText(session.copy(square = null).toText()) == session.copy(square = null))
    println(listOf(null, "", "[]", "{}", "{\"left\":1}", session.toText().replace("1.5", "\"1\""), session.toText().dropLast(1)).map { SavedSession.ofText(it) })
    println(Rgb(2, 1, byteArrayOf(-1, 0, 1, 2, 3, 4)).toPixels().map { Integer.toHexString(it) })
    println(said { convertYuv420(4, 4, YuvPlane(ByteArray(15), 4, 1), YuvPlane(ByteArray(4), 2, 1), YuvPlane(ByteArray(4), 2, 1)) })
}

private fun show(saved: SavedSession) =
    "${saved.picture} ${saved.square?.run { "$left $top $side" }} ${saved.recipe} ${saved.threads}"

/** What is saved at every moment between choosing a picture and showing it. */
private fun sessions() {
    val kept = SavedSession("a", SavedSquare(10.0, 20.0, 100.0), "int8", 2)
    val session = Session(kept, 4)
    // Before the contract is read, and while the picture is.
    println(show(session.save(null)))
    val first = session.resume()
    println(show(session.save(null)))
    val square = session.finish(first, 400, 300)!!
    println("${show(square)}, ${session.unread}")
    println(show(session.save(square.dragged(0.1, 0.0))))
    // Another picture over it: the square on the screen is still the first one's.
    val second = session.begin("b")
    session.choose("float32", 1)
    println(show(session.save(square)))
    // A third takes the second one's place, whichever is read first.
    val third = session.begin("b")
    println(listOf(session.finish(second, 9, 9), session.giveUp(second)))
    println(show(session.finish(third, 400, 300)!!))
    // One that cannot be read leaves the one before.
    val fourth = session.begin("c")
    println(session.giveUp(fourth))
    println(show(session.save(square)))
    println(show(Session(null, 4).save(null)))
}

/** However fingers move, the square stays in the picture and the picture's size counts. */
private fun gestures() {
    val random = java.util.Random(7)
    var outside = 0
    for ((width, height) in listOf(1 to 1, 31 to 900, 4000 to 3000, 33 to 32)) {
        var crop = SquareCrop.centred(width, height)
        repeat(5000) {
            crop = if (random.nextBoolean()) {
                crop.dragged(random.nextGaussian(), random.nextGaussian())
            } else {
                crop.pinched(Math.exp(random.nextGaussian()), random.nextDouble(), random.nextDouble())
            }
            val box = crop.box()
            val fits = box.left >= 0 && box.top >= 0 && box.left + box.width <= width && box.top + box.height <= height
            if (!fits || box.width != box.height || box.width < minOf(32, width, height)) outside++
        }
    }
    println("$outside outside")
}

/** A bundle that the host packaged: its contract, its models' digests, its golden pictures. */
private fun bundle(folder: File) {
    val contract = Contract.parse(File(folder, "contract.json").readText())
    println("${contract.model} ${contract.labels(File(folder, contract.labelsFile).readText())}")
    for (variant in contract.variants.values) {
        val file = java.nio.ByteBuffer.wrap(File(folder, variant.file).readBytes())
        println("${variant.recipe} ${variant.sizeBytes == file.capacity().toLong()} ${said { checkDigest(variant, file) }}")
    }
    for (vector in contract.golden) {
        val image = ImageIO.read(File(folder, vector.file))
        val pixels = image.getRGB(0, 0, image.width, image.height, null, 0, image.width)
        val rgb = contract.pipeline.fit(Rgb.ofPixels(image.width, image.height, pixels, contract.alphaOver))
        val tensor = normalise(rgb, contract.pipeline)
        println("${said { checkRgb(vector, rgb) }} ${said { checkTensor(vector, tensor) }} ${vector.expected.keys}")
    }
}

/** Prints what the app's logic answers, a line each. */
fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    json(folder)
    println("--")
    contract(folder)
    println("--")
    screen()
    gestures()
    println("--")
    sessions()
    println("--")
    bundle(File(arguments[1]))
}
