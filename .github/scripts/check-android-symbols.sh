#!/usr/bin/env bash
# Fails if the addon needs a symbol that Android's system libraries and the C++ runtime don't have.
# Node-API is looked up at run time, so nothing of Node may be left open either. Needs the NDK.
set -euo pipefail

addon=$1
ndk="$ANDROID_NDK_LATEST_HOME/toolchains/llvm/prebuilt/linux-x86_64"
libraries="$ndk/sysroot/usr/lib/aarch64-linux-android"

symbols() {
  "$ndk/bin/llvm-nm" --dynamic --format=just-symbols "$@" | sed 's/@.*//' | sed '/:$/d; /^$/d' | sort -u
}

offered=$(symbols --defined-only "$libraries"/24/lib{c,m,dl,log}.so "$libraries/libc++_shared.so")
needed=$(symbols --undefined-only "$addon")
unknown=$(comm -23 <(echo "$needed") <(echo "$offered"))

"$ndk/bin/llvm-readelf" --needed-libs "$addon"
if [ -n "$unknown" ]; then
  echo "undefined symbols:"
  echo "$unknown"
  exit 1
fi
echo "every undefined symbol is one of the system's"
