package edgedeploy.app

import android.util.Log

/**
 * The latest replay of the golden vectors, which outlives the screen that began it; for
 * the main thread.
 *
 * Each line of the log bears the run's token: `<token> ok|FAILED <name>: <detail>` a check,
 * and `<token> end <passed> <all>` last.
 */
class SelfTestRun(private val engine: Engine) {
    /** What was found; null while it runs. */
    var checks: List<Check>? = null
        private set

    /** Whether there is a run, ended or not. */
    var isBegun = false
        private set

    /** Told when a run ends. */
    var onEnd: () -> Unit = {}

    /** Replay, unless that is being done. */
    fun begin(token: String) {
        if (isBegun && checks == null) return
        isBegun = true
        checks = null
        engine.run({ selfTest(1) }, { end(token, it) }, { end(token, listOf(Check("contract", false, it))) })
    }

    private fun end(token: String, found: List<Check>) {
        for (check in found) {
            val word = if (check.passed) "ok" else "FAILED"
            Log.i(TAG, "$token $word ${check.name}: ${check.detail}".replace('\n', ' '))
        }
        Log.i(TAG, "$token end ${found.count { it.passed }} ${found.size}")
        checks = found
        onEnd()
    }

    private companion object {
        const val TAG = "edgedeploy-selftest"
    }
}
