# PID 1 of a cheap host. $1: its root directory, $2: its name, $3: a tree to lay over /sys, or "", $4: directories of
# this machine to show read-only, separated by spaces. $5: files to lay over those of /proc, or "". $6: files that its
# /dev has, or "". $7: the limit of locked memory in KiB, or "".
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
root=$1
hostname "$2"
mount -t proc proc "$root/proc"
if [ -n "$6" ]; then
  mount -t tmpfs -o mode=755 dev "$root/dev"
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  cp -r "$6/." "$root/dev/"
  (cd "$6" && find . -type f) | while read -r device; do chmod 666 "$root/dev/$device"; done
else
  mount --rbind /dev "$root/dev"
fi
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t tmpfs -o mode=1777,size=256m tmp "$root/tmp"
mount -t tmpfs -o mode=755,size=64m run "$root/run"
mkdir -m 755 "$root/run/sshd"
if [ -n "$3" ]; then
  mkdir "$root/run/sys"
  mount -t sysfs sysfs "$root/run/sys"
  mount -t overlay -o "ro,lowerdir=$3:$root/run/sys" overlay "$root/sys"
else
  mount -t sysfs sysfs "$root/sys"
fi
if [ -n "$5" ]; then
  (cd "$5" && find . -type f) | while read -r file; do
    [ ! -e "$root/proc/$file" ] || mount --bind "$5/$file" "$root/proc/$file"
  done
fi
[ -z "$7" ] || ulimit -l "$7"
for directory in $4; do
  mkdir -p "$root$directory"
  mount --bind "$directory" "$root$directory"
  mount -o remount,bind,ro "$root$directory"
done
exec chroot "$root" /bin/sh -c '
  cd /
  /usr/sbin/sshd -E /var/log/sshd.log
  trap : TERM INT HUP
  while :; do sleep 86400 & wait $!; done'
