// A source module of an app's Gradle build. In the app's settings.gradle.kts:
//     include(":{{ pack }}")
//     project(":{{ pack }}").projectDir = file("path/to/this/folder")
// and in the app module's build.gradle.kts:
//     android { assetPacks += listOf(":{{ pack }}") }
//     android { androidResources { noCompress += "tflite" } }
plugins {
    id("com.android.asset-pack")
}

assetPack {
    packName.set("{{ pack }}")
    dynamicDelivery {
        deliveryType.set("{{ delivery }}")
    }
}
