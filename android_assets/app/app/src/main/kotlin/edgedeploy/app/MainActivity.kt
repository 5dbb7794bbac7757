package edgedeploy.app

import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.TextView
import edgedeploy.Contract
import edgedeploy.Rgb

/** Choose a picture and a square of it, and read what the model makes of that. */
class MainActivity : Activity() {
    private val engine: Engine get() = (application as ModelApplication).engine
    private lateinit var cropView: CropView
    private lateinit var answerView: TextView
    private lateinit var latencyView: TextView
    private var contract: Contract? = null
    private lateinit var session: Session
    private val choice: Choice get() = Choice(session.recipe, session.threads)
    private var picture: Rgb? = null
    private var asked = 0
    private var latencies = Latencies(LATENCIES)

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        cropView = findViewById(R.id.crop)
        answerView = findViewById(R.id.answer)
        latencyView = findViewById(R.id.latency)
        cropView.onSettled = { classify() }
        onClick(R.id.pick) { pick() }
        onClick(R.id.camera) { startActivityForResult(Intent(this, CameraActivity::class.java).putChoice(), CAMERA) }
        onClick(R.id.model) { chooseModel() }
        onClick(R.id.threads) { chooseThreads() }
        onClick(R.id.selftest) { startActivity(Intent(this, SelfTestActivity::class.java)) }
        // Without the contract there is no model to choose, nor to give the camera.
        for (id in NEED_CONTRACT) findViewById<View>(id).isEnabled = false
        session = Session(SavedSession.ofText(savedInstanceState?.getString(STATE)), DEFAULT_THREADS)
        engine.run({ contract }, ::ready, ::fail)
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putString(STATE, session.save(cropView.crop).toText())
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        super.onActivityResult(requestCode, resultCode, data)
        val chosen = data?.data
        if (resultCode != RESULT_OK || chosen == null) return
        if (requestCode == PICK) {
            try {
                // So that the picture can still be read after the process was ended.
                contentResolver.takePersistableUriPermission(chosen, Intent.FLAG_GRANT_READ_URI_PERMISSION)
            } catch (_: SecurityException) {
                // Not every provider gives lasting permission; the present one is enough.
            }
        }
        load(chosen, session.begin("$chosen"))
    }

    private fun ready(found: Contract) {
        if (isDestroyed) return
        contract = found
        title = found.title
        for (id in NEED_CONTRACT) findViewById<View>(id).isEnabled = true
        choose(choice.copy(recipe = session.recipe.takeIf { it in found.variants } ?: found.default))
        // A picture chosen meanwhile is being read already.
        session.unread?.let { load(Uri.parse(it), session.resume()) }
    }

    private fun load(chosen: Uri, reading: Int) {
        answerView.text = getString(R.string.reading)
        val resolver = contentResolver
        engine.run(
            { readPicture(resolver, chosen, contract).let { it to it.toBitmap() } },
            { (rgb, bitmap) ->
                val square = session.finish(reading, rgb.width, rgb.height)
                if (!isDestroyed && square != null) {
                    picture = rgb
                    cropView.show(bitmap, square)
                    classify()
                }
            },
            { if (session.giveUp(reading)) fail(it) },
        )
    }

    private fun classify() {
        val whole = picture ?: return
        val square = cropView.crop ?: return
        val number = ++asked
        val used = choice
        engine.run(
            { classify(whole.cut(square.box()), used) },
            // A later question has taken this one's place.
            { if (!isDestroyed && number == asked) tell(it) },
            { if (number == asked) fail(it) },
        )
    }

    private fun tell(answer: Answer) {
        answerView.text = describe(answer)
        latencyView.text = getString(R.string.latency, answer.milliseconds, latencies.add(answer.milliseconds))
    }

    private fun fail(message: String) {
        if (!isDestroyed) answerView.text = getString(R.string.failed, message)
    }

    private fun pick() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
        startActivityForResult(intent, PICK)
    }

    private fun chooseModel() {
        val recipes = contract?.variants?.keys?.toList() ?: return
        ask(R.string.choose_model, recipes, recipes.indexOf(choice.recipe)) { choose(choice.copy(recipe = recipes[it])) }
    }

    private fun chooseThreads() {
        val counts = (1..minOf(MAX_THREADS, Runtime.getRuntime().availableProcessors())).toList()
        ask(R.string.choose_threads, counts.map { "$it" }, counts.indexOf(choice.threads)) {
            choose(choice.copy(threads = counts[it]))
        }
    }

    private fun choose(next: Choice) {
        session.choose(next.recipe, next.threads)
        latencies = Latencies(LATENCIES)
        findViewById<Button>(R.id.model).text = next.recipe
        findViewById<Button>(R.id.threads).text = getString(R.string.threads, next.threads)
        classify()
    }

    private fun ask(title: Int, texts: List<String>, present: Int, chosen: (Int) -> Unit) {
        AlertDialog.Builder(this)
            .setTitle(title)
            .setSingleChoiceItems(texts.toTypedArray<CharSequence>(), present) { dialog, index ->
                dialog.dismiss()
                chosen(index)
            }
            .show()
    }

    private fun Intent.putChoice(): Intent =
        putExtra(CameraActivity.RECIPE, choice.recipe).putExtra(CameraActivity.THREADS, choice.threads)

    private fun onClick(id: Int, action: () -> Unit) = findViewById<View>(id).setOnClickListener { action() }

    private companion object {
        const val STATE = "session"
        const val PICK = 1
        const val CAMERA = 2
        const val LATENCIES = 15
        const val DEFAULT_THREADS = 4
        val NEED_CONTRACT = listOf(R.id.camera, R.id.model, R.id.threads)
    }
}
