package edgedeploy.app

import android.app.Application

/** Keeps the engine as long as the process lives: turning the phone loads nothing anew. */
class ModelApplication : Application() {
    val engine: Engine by lazy { Engine(assets, getString(R.string.model_folder)) }
    val selfTest: SelfTestRun by lazy { SelfTestRun(engine) }
}
