# Forgets objects that no installed bundle needs. Reads: model; update, and if that is
# `yes`, on standard input the digests that the model needs from now on, one a line.
umask 022
root=$HOME/.cache/edgedeploy
[ -d "$root/objects" ] || exit 0
exec 9>"$root/.lock"
flock -w 60 9 || exit 0
mkdir -p "$root/needed"
if [ "$update" = yes ]; then
    cat >"$root/needed/.$model" && mv -f "$root/needed/.$model" "$root/needed/$model"
fi
cd "$root/objects" || exit 0
needed=$(cat "$root/needed"/* 2>/dev/null)
for name in *; do
    case $needed in *"$name"*) ;; *) rm -f "$name" ;; esac
done
# Whatever is empty now goes too.
cd /
rmdir "$root/objects" "$root/needed" 2>/dev/null && rm -f "$root/.lock"
rmdir "$root" 2>/dev/null
exit 0
