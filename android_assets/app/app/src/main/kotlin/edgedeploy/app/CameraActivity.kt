package edgedeploy.app

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.net.Uri
import android.os.Bundle
import android.widget.Button
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
    private lateinit var shutter: Button
    private lateinit var choice: Choice
    private val busy = AtomicBoolean(false)
    private val latencies = Latencies(LATENCIES)
    private var feed: CameraFeed? = null
    private var started = false
    private var refused = false
    private var shown: Rgb? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.camera)
        frameView = findViewById(R.id.frame)
        answerView = findViewById(R.id.answer)
        latencyView = findViewById(R.id.latency)
        choice = Choice(intent.getStringExtra(RECIPE).orEmpty(), intent.getIntExtra(THREADS, 1))
        shutter = findViewById(R.id.shutter)
        shutter.setOnClickListener { if (mayUseCamera()) keep() else askForCamera() }
        refused = savedInstanceState?.getBoolean(REFUSED) ?: false
        // After a turn of the phone the question is still on the screen.
        if (savedInstanceState == null && !mayUseCamera()) askForCamera()
    }

    override fun onStart() {
        super.onStart()
        started = true
        if (mayUseCamera()) begin() else if (refused) tellRefused()
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putBoolean(REFUSED, refused)
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
            tellRefused()
        }
    }

    private fun mayUseCamera() =
        checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private fun askForCamera() = requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION)

    private fun tellRefused() {
        refused = true
        shutter.setText(R.string.ask_again)
        answerView.text = getString(R.string.permission_refused)
    }

    private fun begin() {
        if (feed != null) return
        refused = false
        shutter.setText(R.string.shutter)
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
        runOnUiThread { show(frame, bitmap) }
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

    private fun show(frame: Rgb, bitmap: Bitmap) {
        if (!started) return
        shown = frame
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
        val frame = shown ?: return
        val file = File(cacheDir, "frame.png")
        engine.run(
            {
                // All that the camera saw: the square is chosen on the next screen.
                val bitmap = frame.toBitmap()
                val written = file.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, BEST, it) }
                check(written) { "the picture could not be kept" }
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
        private const val REFUSED = "refused"
        private const val PERMISSION = 1
        private const val LATENCIES = 15
        private const val BEST = 100
    }
}
