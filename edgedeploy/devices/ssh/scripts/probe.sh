# Says what the host is; writes nothing. Reads: model.
say() { printf '%s=%s\n' "$1" "$2"; }
first_line() { { tr -d '\000' | head -n 1; } <"$1" 2>/dev/null; }
below() { # The nearest folder that exists.
    folder=$1
    while [ -n "$folder" ] && [ ! -d "$folder" ]; do folder=${folder%/*}; done
    printf '%s' "${folder:-/}"
}

say machine "$(uname -m)"
say hostname "$(uname -n)"
say home "${HOME:-}"
for program in sha256sum tar flock awk mktemp readlink df ln find; do
    command -v "$program" >/dev/null 2>&1 || say lacks "$program"
done

# python= the version, the pointers' bits; the one called python3 comes first.
for program in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do
    "$program" -c 'import struct, sys
print("python=%d.%d/%d" % (sys.version_info[:2] + (8 * struct.calcsize("P"),)))' \
        2>/dev/null </dev/null
done

if [ "$(id -u)" = 0 ]; then prefix=/opt/edgedeploy/$model
else prefix=${HOME:-}/.local/opt/edgedeploy/$model; fi
say prefix "$prefix"
cache=${HOME:-}/.cache/edgedeploy
for folder in "$cache" "$prefix"; do
    near=$(below "$folder")
    [ -w "$near" ] || say unwritable "$near"
    say free_kb "$(df -Pk "$near" 2>/dev/null | awk 'NR == 2 { print $4 }')"
done
if [ -e "$prefix/current/.complete" ]; then
    sum=$(sha256sum <"$prefix/current/SHA256SUMS" 2>/dev/null) && say installed "${sum%% *}"
    # "sha256": "…" in the order of the variants' names, as the contract has them.
    [ -r "$prefix/current/contract.json" ] && say contract "$(tr -d '\n' <"$prefix/current/contract.json")"
fi

say board "$(first_line /proc/device-tree/model)"
say os "$( (. /etc/os-release && printf '%s' "$PRETTY_NAME") 2>/dev/null)"
say governor "$(first_line /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
say millidegrees "$(first_line /sys/class/thermal/thermal_zone0/temp)"
say throttled "$(vcgencmd get_throttled 2>/dev/null)"
# A digest: the number itself is nobody else's business.
id=$(first_line /etc/machine-id)
if [ -n "$id" ]; then say identity "$(printf '%s' "$id" | sha256sum)"; fi
