import edgedeploy.*
import java.io.File
import java.util.Random

private fun store(folder: String, key: String, app: Long = 5, shipped: Long = 1, model: String = "colours") =
    ModelStore(File(folder), model, updateKey(File(key).readBytes()), app, shipped)

private fun say(what: () -> File?): String = try {
    what()?.name ?: "shipped"
} catch (error: UpdateException) {
    "refused: ${error.message}"
}

/** Flip random bytes of an update: each time it is refused, or every file is as signed. */
private fun flip(folder: String, key: String, update: String, flips: Int) {
    val good = File(update).readBytes()
    val random = Random(20)
    val bad = File("$folder.zip")
    var refused = 0
    for (number in 0 until flips) {
        val bytes = good.copyOf()
        val at = random.nextInt(bytes.size)
        bytes[at] = (bytes[at].toInt() xor (1 shl random.nextInt(8))).toByte()
        bad.writeBytes(bytes)
        val own = "$folder/$number"
        val answer = say { store(own, key).install(bad) {} }
        if (answer.startsWith("refused")) refused++
        // current() holds every file against the signed digests.
        val now = say { store(own, key).current() }
        check(now == if (answer.startsWith("refused")) "shipped" else "7") { "byte $at: $answer, then $now" }
        File(own).deleteRecursively()
    }
    println("$refused of $flips refused")
}

/** A self-test that lasts until somebody lets it go on. */
private fun waitForALine() {
    println("testing")
    System.out.flush()
    readln()
}

/** A command a line: what to do, then folder, key and update. */
fun main(arguments: Array<String>) {
    val (command, folder, key) = arguments
    val update = arguments.getOrElse(3) { "" }
    when (command) {
        "install" -> println(say { store(folder, key).install(File(update)) {} })
        "install-failing" -> println(say { store(folder, key).install(File(update)) { throw SelfTestException("wrong answers") } })
        "install-crashing" -> say { store(folder, key).install(File(update)) { Runtime.getRuntime().halt(9) } }
        "install-interrupted" -> println(say { store(folder, key).install(File(update)) { throw InterruptedException() } })
        "install-asking" -> store(folder, key).run { println(say { install(File(update)) { current() } }) }
        "install-waiting" -> println(say { store(folder, key).install(File(update)) { waitForALine() } })
        "install-each" -> arguments.drop(3).forEachIndexed { number, path ->
            println(say { store("$folder/$number", key).install(File(path)) {} })
        }
        "install-old-app" -> println(say { store(folder, key, app = 4).install(File(update)) {} })
        "install-other-model" -> println(say { store(folder, key, model = "others").install(File(update)) {} })
        "current" -> println(say { store(folder, key).current() })
        "current-newer-app" -> println(say { store(folder, key, shipped = 50).current() })
        "roll-back" -> println(say { store(folder, key).rollBack() })
        "flip" -> flip(folder, key, update, arguments[4].toInt())
        else -> error("no command $command")
    }
}
