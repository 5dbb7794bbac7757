# Says which objects are there and sound. Reads digests on standard input, one a line.
root=$HOME/.cache/edgedeploy
# What a power cut left of others' work; what still runs is younger than a day.
[ ! -d "$root" ] || find "$root" -maxdepth 1 \( -name 'incoming.*' -o -name 'stage.*' \) \
    -mmin +1440 -exec rm -rf {} +
while read -r name; do
    [ -f "$root/objects/$name" ] || continue
    sum=$(sha256sum <"$root/objects/$name")
    if [ "${sum%% *}" = "$name" ]; then printf 'have %s\n' "$name"
    else rm -f "$root/objects/$name"; fi
done
