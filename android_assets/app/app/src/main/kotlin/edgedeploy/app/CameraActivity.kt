package edgedeploy.app

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.ImageView
import android.widget.TextView
import edgedeploy.Rgb
import java.io.File
import java.util.concurrent.atomic.AtomicBoolean

/** Classifies what the camera sees; the shutter gives the frame back as a picture. */
class CameraActivity : Activity() {
    private val engine: Engine get() = (application as ModelApplication).engine
    private lateinit var frameView: ImageView
    private lateinit var answerView: TextView
    private lateinit var latencyView: TextView
    private lateinit var choice: Choice
    private val busy = AtomicBoolean(false)
    private val latencies = Latencies(LATENCIES)
    private var feed: CameraFeed? = null
    private var started = false
    private var shown: Bitmap? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.camera)
        frameView = findViewById(R.id.frame)
        answerView = findViewById(R.id.answer)
        latencyView = findViewById(R.id.latency)
        choice = Choice(intent.getStringExtra(RECIPE).orEmpty(), intent.getIntExtra(THREADS, 1))
        findViewById<View>(R.id.shutter).setOnClickListener { keep() }
        if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            // After a turn of the phone the question is still on the screen.
            if (savedInstanceState == null) requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION)
        }
    }

    override fun onStart() {
        super.onStart()
        started = true
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) begin()
    }

    override fun onStop() {
        started = false
        feed?.close()
        feed = null
        super.onStop()
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<out String>, grantResults: IntArray) {
        if (requestCode != PERMISSION) return
        if (grantResults.firstOrNull() == PackageManager.PERMISSION_GRANTED) {
            if (started) begin()
        } else {
            answerView.text = getString(R.string.permission_refused)
        }
    }

    private fun begin() {
        if (feed != null) return
        engine.run(
            { contract.pipeline },
            { pipeline ->
                if (started && feed == null) {
                    val opened = CameraFeed(this, maxOf(pipeline.width, pipeline.height), ::see, ::failFromFeed)
                    feed = opened
                    opened.open()
                }
            },
            ::fail,
        )
    }

    /** On the feed's thread. */
    private fun see(frame: Rgb) {
        val square = frame.cut(SquareCrop.centred(frame.width, frame.height).box())
        val bitmap = square.toBitmap()
        runOnUiThread { show(bitmap) }
        if (!busy.compareAndSet(false, true)) return
        engine.run(
            { classify(square, choice) },
            { answer ->
                busy.set(false)
                tell(answer)
            },
            { message ->
                busy.set(false)
                fail(message)
            },
        )
    }

    private fun show(bitmap: Bitmap) {
        if (!started) return
        shown = bitmap
        frameView.setImageBitmap(bitmap)
    }

    private fun tell(answer: Answer) {
        if (!started) return
        answerView.text = describe(answer)
        latencyView.text = getString(R.string.latency, answer.milliseconds, latencies.add(answer.milliseconds))
    }

    private fun failFromFeed(message: String) = runOnUiThread { fail(message) }

    private fun fail(message: String) {
        if (!isDestroyed) answerView.text = getString(R.string.failed, message)
    }

    private fun keep() {
        val bitmap = shown ?: return
        val file = File(cacheDir, "frame.png")
        engine.run(
            {
                val whole = file.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, BEST, it) }
                check(whole) { "the picture could not be kept" }
            },
            {
                setResult(RESULT_OK, Intent().setData(Uri.fromFile(file)))
                finish()
            },
            ::fail,
        )
    }

    companion object {
        const val RECIPE = "recipe"
        const val THREADS = "threads"
        private const val PERMISSION = 1
        private const val LATENCIES = 15
        private const val BEST = 100
    }
}
