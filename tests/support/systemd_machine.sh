#!/usr/bin/env bash
# Becomes the systemd of a SystemdMachine (systemd_machine.h). To be run as process 1 of namespaces of its own:
#   unshare --pid --fork --mount --uts --ipc --mount-proc --net --kill-child systemd_machine.sh CGROUP PROGRAMS
# CGROUP: the name of its control group. PROGRAMS: the directory of the built programs, /run/machine/bin inside.
set -euo pipefail
cgroup=$1 programs=$2

# What systemd and services write to is private: nothing of the machine around us changes.
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/{lock,cgroup,etc} /run/machine/bin /run/systemd/{system,system-generators,journald.conf.d}
mount --bind "$programs" /run/machine/bin
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /var
mkdir -p /var/{lib,cache,log}
mount -t tmpfs -o mode=755 tmpfs /run/etc
cp -a /etc/. /run/etc || [ -e /run/etc/passwd ]  # a file may go meanwhile: somebody installs a package
rm -rf /run/etc/systemd/system /run/etc/systemd/system-generators /run/etc/holdfast
mkdir /run/etc/holdfast
mount --move /run/etc /etc

# Left out: what concerns a whole machine, and what nobody here needs.
mask() { ln -s /dev/null "/run/systemd/$1/$2"; }
for unit in systemd-{sysctl,modules-load,remount-fs,binfmt,journal-flush,update-utmp,random-seed,udevd,udev-trigger}.service \
  systemd-{sysusers,tmpfiles-setup,tmpfiles-setup-dev,hwdb-update,firstboot,machine-id-commit}.service \
  systemd-udevd-{control,kernel}.socket systemd-initctl.socket dbus.socket kmod-static-nodes.service \
  {tmp,dev-hugepages,dev-mqueue,sys-kernel-config,sys-kernel-debug,sys-kernel-tracing,sys-fs-fuse-connections}.mount \
  proc-sys-fs-binfmt_misc.automount systemd-ask-password-{console,wall}.path \
  {timers,paths,swap,cryptsetup,integritysetup,veritysetup,local-fs}.target; do
  mask system "$unit"
done
for generator in /lib/systemd/system-generators/*; do mask system-generators "${generator##*/}"; done
cat >/run/systemd/journald.conf.d/machine.conf <<'CONF'
[Journal]
Storage=volatile
ReadKMsg=no
RateLimitIntervalSec=0
CONF

ip link set lo up
mount -t cgroup2 cgroup2 /run/cgroup
mkdir "/run/cgroup/$cgroup"
echo 0 >"/run/cgroup/$cgroup/cgroup.procs"
umount /run/cgroup
# The group that we are in becomes the root of a view of its own.
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --cgroup sh -c '
  mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
  exec /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=no'
