package edgedeploy.app

import android.app.Activity
import android.os.Bundle
import android.util.Log
import android.view.View
import android.widget.TextView

/**
 * Shows the self-test, and writes it to the log for `inv android.selftest`.
 *
 * It is started with a token, and each line of the log bears it: `<token> ok|FAILED <name>:
 * <detail>` a check, and `<token> end <passed> <all>` last.
 */
class SelfTestActivity : Activity() {
    private val engine: Engine get() = (application as ModelApplication).engine

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.selftest)
        findViewById<View>(R.id.again).setOnClickListener { run() }
        run()
    }

    private fun run() {
        val view = findViewById<TextView>(R.id.checks)
        view.text = getString(R.string.selftest_running)
        val token = intent.getStringExtra("token").orEmpty().filter { it in "0123456789abcdef" }.take(TOKEN)
        engine.run(
            { selfTest(1) },
            { checks ->
                log(token, checks)
                if (!isDestroyed) view.text = describe(checks)
            },
            { message ->
                log(token, listOf(Check("contract", false, message)))
                if (!isDestroyed) view.text = getString(R.string.failed, message)
            },
        )
    }

    private fun describe(checks: List<Check>): String {
        val passed = checks.count { it.passed }
        val first = getString(R.string.selftest_sum, passed, checks.size)
        return checks.joinToString("\n", "$first\n\n") {
            getString(if (it.passed) R.string.check_passed else R.string.check_failed, it.name, it.detail)
        }
    }

    private fun log(token: String, checks: List<Check>) {
        for (check in checks) {
            val word = if (check.passed) "ok" else "FAILED"
            Log.i(TAG, "$token $word ${check.name}: ${check.detail}".replace('\n', ' '))
        }
        Log.i(TAG, "$token end ${checks.count { it.passed }} ${checks.size}")
    }

    private companion object {
        const val TAG = "edgedeploy-selftest"
        const val TOKEN = 32
    }
}
