# PID 1 of a lab: a network with one bridge, a /run of its own, and nothing to do but to reap.
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t tmpfs -o mode=755 lab /run
mkdir -p /run/netns /run/lab
ip -batch - <<END
link set lo up
link add br0 type bridge stp_state 0 forward_delay 0
link set br0 address 02:77:00:00:00:01
link set br0 up
addr add 10.77.255.254/16 dev br0
END
echo ready
exec >/dev/null
trap : TERM INT HUP
while :; do
  sleep 86400 &
  wait $!
done
