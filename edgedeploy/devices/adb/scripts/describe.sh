# Says what the phone is; writes nothing.
say() { printf '%s=%s\n' "$1" "$2"; }
property() { say "$1" "$(getprop "$2")"; }
property model ro.product.model
property manufacturer ro.product.manufacturer
property release ro.build.version.release
property sdk ro.build.version.sdk
property abis ro.product.cpu.abilist
property soc_maker ro.soc.manufacturer
property soc ro.soc.model
property platform ro.board.platform
property hardware ro.hardware
property emulator ro.kernel.qemu
property boot_emulator ro.boot.qemu
property serial ro.serialno
say machine "$(uname -m)"
say cores "$(nproc 2>/dev/null)"
say governor "$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null)"
