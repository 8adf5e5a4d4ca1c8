#!/usr/bin/env bash
# Brings docker-compose.yml up for real on a machine without a Docker engine or a registry:
# Debian's engine, started by hand in a network namespace of its own, with images that are
# made here. Then it shops, as people would: make run-all, make demo, make scale.
#
#   tests/compose/run.sh            (or: make compose-test)
#
# Prints "skipped" and the reason where it can't run. Base images are kept in .cache/compose.
set -euo pipefail
cd "$(dirname "$0")/../.."
HERE=$PWD/tests/compose
CACHE=$PWD/.cache/compose

skip() { echo "compose-test: skipped: $*"; exit 0; }
say() { printf '%5ss  %s\n' "$SECONDS" "$*"; }

[ "$(uname -s)" = Linux ] || skip "this is not Linux"
[ "$(id -u)" = 0 ] || skip "only root can make network namespaces and start an engine"
command -v apt-get >/dev/null || skip "the engine and the images are made of Debian packages"
for tool in dockerd debootstrap ip nsenter iptables; do
  command -v $tool >/dev/null || missing=1
done
if [ "${missing:-}" ]; then
  # RUNLEVEL: installed, but not started.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    docker.io debootstrap iproute2 iptables util-linux >/dev/null 2>&1 \
    || skip "no Docker engine here, and none to be had by apt-get"
fi

WORK=$(mktemp -d)
SPACE=shop$$
export DOCKER_HOST=unix://$WORK/docker.sock DOCKER_CONFIG=$WORK/config SHOP_WAY=compose
export PIP_ARGS=--no-index  # packages come from a folder: the engine has no network
export COMPOSE_FILE=docker-compose.yml:$HERE/here.yml

inside() { nsenter --net="/var/run/netns/$SPACE" "$@"; }

clean_up() {
  code=$?
  set +e
  [ $code = 0 ] || { tail -n 20 "$WORK"/*.log; }
  [ -d "$WORK/shop" ] && make -s -C "$WORK/shop" clean >/dev/null 2>&1
  if [ -s "$WORK/dockerd.pid" ]; then
    engine=$(cat "$WORK/dockerd.pid")
    kill "$engine" && tail --pid="$engine" -f /dev/null
  fi
  ip netns del "$SPACE" 2>/dev/null
  umount "$WORK"/root-*/proc 2>/dev/null
  rm -rf "$WORK"
  exit $code
}
trap clean_up EXIT

start_engine() {
  ip netns add "$SPACE"
  ip -n "$SPACE" link set lo up
  # Without the environment: its proxies are none of the engine's business.
  setsid nsenter --net="/var/run/netns/$SPACE" env -i PATH="$PATH" HOME="$WORK" \
    dockerd --data-root "$WORK/data" --exec-root "$WORK/exec" -H "$DOCKER_HOST" \
    -p "$WORK/dockerd.pid" >"$WORK/dockerd.log" 2>&1 &
  mkdir -p "$DOCKER_CONFIG/cli-plugins"
  ln -s "$PWD/.venv/bin/docker-compose" "$DOCKER_CONFIG/cli-plugins/docker-compose"
  for _ in $(seq 60); do docker version >/dev/null 2>&1 && return; sleep 0.5; done
  echo "the engine does not start" && exit 1
}

# A root file system with packages, as Docker's own base images have them.
base() { # base NAME PACKAGES...
  local root=$WORK/root-$1 name=$1; shift
  debootstrap --variant=minbase --include="ca-certificates,${*// /,}" bookworm "$root" \
    >"$WORK/debootstrap-$name.log" 2>&1
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}

pack() { tar -C "$WORK/root-$1" --exclude='./proc/*' --exclude='./sys/*' -c . >"$CACHE/$1.tar"; }

make_python() {
  base python python3,python3-venv
  ln -sf python3 "$WORK/root-python/usr/bin/python"
  pack python
}

make_kafka() {
  base kafka openjdk-17-jre-headless
  local root=$WORK/root-kafka
  mkdir -p "$root"/opt/kafka/libs "$root"/var/lib/kafka/data "$root"/etc/kafka/docker
  cp "$(.venv/bin/python -m topics.broker fetch | tail -1)"/*.jar "$root/opt/kafka/libs/"
  cp "$HERE/kafka-run" "$root/etc/kafka/docker/run"
  chroot "$root" useradd -u 1000 -m appuser
  chroot "$root" chown -R appuser /var/lib/kafka /etc/kafka
  pack kafka
}

# Debian's Prometheus, placed as the image of its makers has it.
make_prometheus() {
  base prometheus prometheus,wget
  mkdir -p "$WORK/root-prometheus/prometheus"
  chroot "$WORK/root-prometheus" chown nobody /prometheus
  pack prometheus
}

asked_of_prometheus() { # is everything that there is found, and up?
  local up; up=$(inside curl -sfG http://127.0.0.1:9090/api/v1/query \
    --data-urlencode 'query=count by (service) (up == 1)') || return
  for service in gateway gateway-2 checkout loms products notifications; do
    [[ $up == *"\"service\":\"$service\""* ]] || return
  done
}

load() { docker import "${@:3}" - "$2" <"$CACHE/$1.tar" >/dev/null; }

mkdir -p "$CACHE"
make -s .venv/.check
start_engine
say "the engine runs"
[ -s "$CACHE/python.tar" ] || make_python
[ -s "$CACHE/kafka.tar" ] || make_kafka
[ -s "$CACHE/prometheus.tar" ] || make_prometheus
load python python:3.11-slim -c 'CMD ["python3"]'
load kafka apache/kafka:4.4.0 -c 'USER appuser' -c 'VOLUME ["/var/lib/kafka/data"]' \
  -c 'CMD ["/etc/kafka/docker/run"]'
load prometheus prom/prometheus:v3.5.0 -c 'USER nobody' -c 'VOLUME ["/prometheus"]' \
  -c 'ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml"]' \
  -c 'CMD ["--storage.tsdb.path=/prometheus"]'
say "base images are there"

# A copy of what is tracked, with the packages that the image needs.
mkdir "$WORK/shop"
git ls-files -z | tar --null -T - -c | tar -C "$WORK/shop" -x
cp -r .venv "$WORK/shop/" && cd "$WORK/shop"
.venv/bin/python - <<'P' >"$WORK/requirements.txt"
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")
P
# For the image's Python, whatever is ours.
.venv/bin/python -m pip download -q -d wheels --python-version 3.11 \
  --only-binary :all: -c .ci/constraints.txt -r "$WORK/requirements.txt"
say "packages are there"

inside make -s run-all
say "the shop is open"
inside make -s ps
inside make -s demo >"$WORK/demo.log"
tail -n 2 "$WORK/demo.log"
say "the story was told"
inside make -s scale LOMS_WORKERS=2 GATEWAYS=2
inside curl -sf http://127.0.0.1:8081/readyz >/dev/null
say "there are two of loms and two gateways"
inside docker compose --profile obs up -d --wait prometheus >/dev/null 2>&1
for _ in $(seq 60); do asked_of_prometheus && break; sleep 0.5; done
asked_of_prometheus
say "Prometheus has found all of them"
kill -9 "$(inside make -s ps | awk '$1 == "kafka" {print $2}')"
inside make -s run-all >/dev/null
inside make -s demo >"$WORK/demo.log"
say "Kafka was killed, and the story was told again"
make -s down >/dev/null 2>&1
inside make -s run-all >/dev/null
inside curl -sf -d '{"sku": 1076963}' http://127.0.0.1:8080/stocks | tee "$WORK/stocks.log"
grep -q '"warehouseID":7,"count":45' "$WORK/stocks.log"
say "the shop was down and is open again, with what it had"
echo "compose-test: passed"
