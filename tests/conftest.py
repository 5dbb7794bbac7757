"""What every test may rely on."""

import signal

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every
# program that the tests start and then interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
