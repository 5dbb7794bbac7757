package edgedeploy.app

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.display.DisplayManager
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.view.Display
import android.view.Surface
import edgedeploy.PictureSize
import edgedeploy.Rgb
import edgedeploy.YuvPlane
import edgedeploy.convertYuv420

/**
 * Frames of a camera, turned upright.
 *
 * @param atLeast shorter side that the network wants, in pixels
 * @param onFrame given each frame, on a thread of the feed
 * @param onError told what is wrong, on that thread
 */
class CameraFeed(
    private val context: Context,
    private val atLeast: Int,
    private val onFrame: (Rgb) -> Unit,
    private val onError: (String) -> Unit,
) : AutoCloseable {
    private val manager = context.getSystemService(CameraManager::class.java)
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private var reader: ImageReader? = null
    private var device: CameraDevice? = null
    private var lost: String? = null
    private var closed = false

    /** Begin; the app must have the permission for the camera. */
    fun open() {
        handler.post { guarded { openNow() } }
    }

    /** Stop, and let the camera go; nothing is told afterwards. */
    override fun close() {
        handler.post {
            closed = true
            manager.unregisterAvailabilityCallback(returning)
            device?.close()
            reader?.close()
            thread.quitSafely()
        }
    }

    private fun openNow() {
        val ids = manager.cameraIdList
        val id = ids.firstOrNull { facing(it) == CameraCharacteristics.LENS_FACING_BACK } ?: ids.firstOrNull()
        if (id == null) return onError(context.getString(R.string.no_camera))
        val map = manager.getCameraCharacteristics(id).get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
        val offered = map?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().map { PictureSize(it.width, it.height) }
        val size = frameSize(offered, atLeast)
        val frames = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, IMAGES)
        frames.setOnImageAvailableListener({ source -> guarded { take(source, id) } }, handler)
        reader = frames
        manager.registerAvailabilityCallback(returning, handler)
        openDevice(id, frames.surface)
    }

    @SuppressLint("MissingPermission")
    private fun openDevice(id: String, surface: Surface) = manager.openCamera(id, Opening(surface), handler)

    private fun openAgain(id: String, surface: Surface) {
        lost = null
        try {
            openDevice(id, surface)
        } catch (error: CameraAccessException) {
            lost = id
            throw error
        }
    }

    /** Takes the camera back when the app that took it lets it go. */
    private val returning = object : CameraManager.AvailabilityCallback() {
        override fun onCameraAvailable(cameraId: String) {
            val surface = reader?.surface
            if (cameraId == lost && surface != null) guarded { openAgain(cameraId, surface) }
        }
    }

    private fun take(source: ImageReader, id: String) {
        // The latest alone: a slow model lets frames pass, and none wait.
        val image = source.acquireLatestImage() ?: return
        val frame = image.use { convert(it) }
        if (!closed) onFrame(frame.upright(orientation(id)))
    }

    private fun convert(image: Image): Rgb {
        val (luma, cb, cr) = image.planes.map { plane ->
            val bytes = ByteArray(plane.buffer.remaining())
            plane.buffer.get(bytes)
            YuvPlane(bytes, plane.rowStride, plane.pixelStride)
        }
        return convertYuv420(image.width, image.height, luma, cb, cr)
    }

    private fun orientation(id: String): Int {
        val sensor = manager.getCameraCharacteristics(id).get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
        val display = context.getSystemService(DisplayManager::class.java).getDisplay(Display.DEFAULT_DISPLAY)
        val turned = QUARTER * (display?.rotation ?: Surface.ROTATION_0)
        return frameOrientation(sensor, turned, facing(id) == CameraCharacteristics.LENS_FACING_FRONT)
    }

    private fun facing(id: String): Int? = manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING)

    /** Another app may take the camera at any moment, and a policy may forbid it. */
    private fun guarded(action: () -> Unit) {
        if (closed) return
        try {
            action()
        } catch (error: Exception) {
            onError(error.message ?: error.javaClass.simpleName)
        }
    }

    private inner class Opening(private val surface: Surface) : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (closed) return camera.close()
            device = camera
            // Its successor needs Android 9.
            @Suppress("DEPRECATION")
            guarded { camera.createCaptureSession(listOf(surface), Running(camera, surface), handler) }
        }

        override fun onDisconnected(camera: CameraDevice) {
            lost = camera.id
            camera.close()
            if (!closed) onError(context.getString(R.string.camera_taken))
        }

        override fun onError(camera: CameraDevice, error: Int) {
            camera.close()
            if (!closed) onError(context.getString(R.string.camera_error, error))
        }
    }

    private inner class Running(private val camera: CameraDevice, private val surface: Surface) :
        CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) = guarded {
            val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
            request.addTarget(surface)
            session.setRepeatingRequest(request.build(), null, handler)
        }

        override fun onConfigureFailed(session: CameraCaptureSession) = onError(context.getString(R.string.no_frames))
    }

    private companion object {
        const val IMAGES = 3
        const val QUARTER = 90
    }
}
