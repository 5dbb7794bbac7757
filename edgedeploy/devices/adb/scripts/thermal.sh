# Says how hot the phone is, as far as it tells: Android 10 and later do.
dumpsys thermalservice 2>/dev/null | grep -E 'Thermal Status|mType=0' | head -n 40
printf 'battery=%s\n' "$(dumpsys battery 2>/dev/null | grep -m 1 temperature)"
true
