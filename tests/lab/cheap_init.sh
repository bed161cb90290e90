# PID 1 of a cheap host. $1: its root directory, $2: its name, $3: a tree to lay over /sys, or "", $4: directories of
# this machine to show read-only, separated by spaces.
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
root=$1
hostname "$2"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
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
