package edgedeploy.app

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Matrix
import android.graphics.Paint
import android.util.AttributeSet
import android.view.KeyEvent
import android.view.MotionEvent
import android.view.ScaleGestureDetector
import android.view.View

/** Shows a picture under a square frame; fingers, or keys, choose what lies in it. */
class CropView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    /** Told when the fingers have left. */
    var onSettled: () -> Unit = {}

    /** What lies in the frame; null without a picture. */
    var crop: SquareCrop? = null
        private set

    private var bitmap: Bitmap? = null
    private val paint = Paint(Paint.FILTER_BITMAP_FLAG)
    private val placed = Matrix()
    private val pinches = ScaleGestureDetector(context, Pinches())
    private var pointer = MotionEvent.INVALID_POINTER_ID
    private var lastX = 0f
    private var lastY = 0f

    init {
        isFocusable = true
    }

    /** Show a picture, with a square of the same picture's pixels. */
    fun show(picture: Bitmap, square: SquareCrop) {
        bitmap = picture
        crop = square
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val picture = bitmap ?: return
        val square = crop ?: return
        val scale = (frame / square.side).toFloat()
        placed.setScale(scale, scale)
        placed.postTranslate(frameLeft - (square.left * scale).toFloat(), frameTop - (square.top * scale).toFloat())
        canvas.save()
        canvas.clipRect(frameLeft, frameTop, frameLeft + frame, frameTop + frame)
        canvas.drawBitmap(picture, placed, paint)
        canvas.restore()
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        if (crop == null) return super.onTouchEvent(event)
        pinches.onTouchEvent(event)
        when (event.actionMasked) {
            MotionEvent.ACTION_DOWN -> follow(event, 0)
            MotionEvent.ACTION_MOVE -> drag(event)
            // The finger that was followed may be the one that left.
            MotionEvent.ACTION_POINTER_UP -> follow(event, if (event.actionIndex == 0) 1 else 0)
            MotionEvent.ACTION_UP -> performClick()
            MotionEvent.ACTION_CANCEL -> settle()
        }
        return true
    }

    override fun performClick(): Boolean {
        super.performClick()
        settle()
        return true
    }

    override fun onKeyDown(keyCode: Int, event: KeyEvent): Boolean {
        val square = crop ?: return super.onKeyDown(keyCode, event)
        crop = when (keyCode) {
            KeyEvent.KEYCODE_DPAD_LEFT -> square.dragged(KEY_STEP, 0.0)
            KeyEvent.KEYCODE_DPAD_RIGHT -> square.dragged(-KEY_STEP, 0.0)
            KeyEvent.KEYCODE_DPAD_UP -> square.dragged(0.0, KEY_STEP)
            KeyEvent.KEYCODE_DPAD_DOWN -> square.dragged(0.0, -KEY_STEP)
            KeyEvent.KEYCODE_PLUS, KeyEvent.KEYCODE_NUMPAD_ADD -> square.pinched(KEY_ZOOM, 0.5, 0.5)
            KeyEvent.KEYCODE_MINUS, KeyEvent.KEYCODE_NUMPAD_SUBTRACT -> square.pinched(1 / KEY_ZOOM, 0.5, 0.5)
            else -> return super.onKeyDown(keyCode, event)
        }
        invalidate()
        settle()
        return true
    }

    private val frame: Float get() = minOf(width, height).coerceAtLeast(1).toFloat()
    private val frameLeft: Float get() = (width - frame) / 2
    private val frameTop: Float get() = (height - frame) / 2

    private fun settle() {
        pointer = MotionEvent.INVALID_POINTER_ID
        onSettled()
    }

    private fun follow(event: MotionEvent, index: Int) {
        pointer = event.getPointerId(index)
        lastX = event.getX(index)
        lastY = event.getY(index)
    }

    private fun drag(event: MotionEvent) {
        val index = event.findPointerIndex(pointer)
        if (index < 0) return
        val (x, y) = event.getX(index) to event.getY(index)
        if (!pinches.isInProgress) {
            crop = crop?.dragged(((x - lastX) / frame).toDouble(), ((y - lastY) / frame).toDouble())
            invalidate()
        }
        lastX = x
        lastY = y
    }

    private inner class Pinches : ScaleGestureDetector.SimpleOnScaleGestureListener() {
        override fun onScale(detector: ScaleGestureDetector): Boolean {
            crop = crop?.pinched(
                detector.scaleFactor.toDouble(),
                ((detector.focusX - frameLeft) / frame).toDouble(),
                ((detector.focusY - frameTop) / frame).toDouble(),
            )
            invalidate()
            return true
        }
    }

    private companion object {
        const val KEY_STEP = 0.05
        const val KEY_ZOOM = 1.25
    }
}
