package edgedeploy.app

import android.content.Context

/** The best classes with their confidence, a line each. */
fun Context.describe(answer: Answer): String =
    answer.guesses.joinToString("\n") { getString(R.string.guess, it.label, 100 * it.score) }
