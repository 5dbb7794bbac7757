// For the build.gradle.kts of the app that gets assets/ into its src/main/assets:
// a compressed model cannot be memory-mapped.
android {
    androidResources {
        noCompress += "tflite"
    }
}
