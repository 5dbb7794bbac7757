import java.util.Properties

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

// What this project was generated for.
val model = Properties().apply { rootProject.file("model.properties").inputStream().use { load(it) } }

android {
    namespace = "edgedeploy.app"
    compileSdk = 36

    defaultConfig {
        applicationId = model.getProperty("applicationId")
        minSdk = 24
        targetSdk = 36
        versionCode = model.getProperty("versionCode").toInt()
        versionName = model.getProperty("versionName")
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
        }
    }

    androidResources {
        // A compressed model cannot be mapped.
        noCompress += "tflite"
    }

    packaging {
        // Stored and page-aligned, so that Android maps them from the package.
        jniLibs.useLegacyPackaging = false
    }

    bundle {
        // Only what the phone's processor needs is downloaded.
        abi.enableSplit = true
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

kotlin {
    compilerOptions {
        jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_11)
    }
}

dependencies {
    implementation(project(":classifier"))
    implementation(libs.litert)
}
