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
    private var choice = Choice("", DEFAULT_THREADS)
    private var address: Uri? = null
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
        val saved = SavedSession.ofText(savedInstanceState?.getString(STATE))
        engine.run({ contract }, { ready(it, saved) }, ::fail)
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        val crop = cropView.crop
        val session = SavedSession(
            address?.toString(), crop?.left ?: 0.0, crop?.top ?: 0.0, crop?.side ?: 0.0, choice.recipe, choice.threads,
        )
        outState.putString(STATE, session.toText())
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
        load(chosen, null)
    }

    private fun ready(found: Contract, saved: SavedSession?) {
        if (isDestroyed) return
        contract = found
        title = found.title
        val recipe = saved?.recipe?.takeIf { it in found.variants } ?: found.default
        choose(Choice(recipe, saved?.threads ?: DEFAULT_THREADS))
        val kept = saved?.picture
        // A picture chosen meanwhile is being read already.
        if (address == null && kept != null) load(Uri.parse(kept), saved)
    }

    private fun load(chosen: Uri, saved: SavedSession?) {
        address = chosen
        answerView.text = getString(R.string.reading)
        val resolver = contentResolver
        engine.run(
            { readPicture(resolver, chosen, contract).let { it to it.toBitmap() } },
            { (rgb, bitmap) ->
                if (!isDestroyed && address == chosen) {
                    picture = rgb
                    val square = saved?.let { SquareCrop.restored(rgb.width, rgb.height, it.left, it.top, it.side) }
                    cropView.show(bitmap, square ?: SquareCrop.centred(rgb.width, rgb.height))
                    classify()
                }
            },
            ::fail,
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
            ::fail,
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
        choice = next
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
    }
}
