package edgedeploy.app

import android.app.Activity
import android.os.Bundle
import android.view.View
import android.widget.TextView

/** Shows the self-test; `inv android.selftest` starts it with a token for its log. */
class SelfTestActivity : Activity() {
    private val selfTest: SelfTestRun get() = (application as ModelApplication).selfTest

    private val ended: () -> Unit = { show() }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.selftest)
        findViewById<View>(R.id.again).setOnClickListener { begin("") }
        // Turning the phone makes the screen anew, and must not log the checks twice.
        if (savedInstanceState == null || !selfTest.isBegun) {
            val token = intent.getStringExtra("token").orEmpty()
            begin(token.filter { it in "0123456789abcdef" }.take(TOKEN))
        }
    }

    override fun onStart() {
        super.onStart()
        selfTest.onEnd = ended
        show()
    }

    override fun onStop() {
        // Another screen of this kind may have started already.
        if (selfTest.onEnd === ended) selfTest.onEnd = {}
        super.onStop()
    }

    private fun begin(token: String) {
        selfTest.begin(token)
        show()
    }

    private fun show() {
        val checks = selfTest.checks
        findViewById<View>(R.id.again).isEnabled = checks != null
        findViewById<TextView>(R.id.checks).text =
            if (checks == null) getString(R.string.selftest_running) else describe(checks)
    }

    private fun describe(checks: List<Check>): String {
        val passed = checks.count { it.passed }
        val first = getString(R.string.selftest_sum, passed, checks.size)
        return checks.joinToString("\n", "$first\n\n") {
            getString(if (it.passed) R.string.check_passed else R.string.check_failed, it.name, it.detail)
        }
    }

    private companion object {
        const val TOKEN = 32
    }
}
