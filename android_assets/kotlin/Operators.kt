package edgedeploy

/** A model needs an operator that the app has not registered. */
class MissingOperatorException(message: String) : IllegalStateException(message)

/**
 * Refuse to open a model whose operators are not all registered: LiteRT by itself would
 * run past a missing one.
 *
 * @param needed names of `operators` in contract.json
 * @param registered names that the app gave to LiteRT
 * @throws MissingOperatorException in one line, naming what is missing
 */
fun checkOperators(model: String, needed: Collection<String>, registered: Collection<String>) {
    val missing = needed.filter { it !in registered }.sorted()
    if (missing.isEmpty()) return
    val known = registered.sorted().joinToString().ifEmpty { "none" }
    throw MissingOperatorException(
        "$model: needs the operator ${missing.joinToString()}, which is not registered " +
            "(registered: $known); add its library for this device to the app"
    )
}
