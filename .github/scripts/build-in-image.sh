#!/bin/sh
# Builds the addon inside a Linux image, as root, with the working copy as the current folder.
# The image decides which C library the binary needs: almalinux:8 has glibc 2.28, an Alpine image has musl.
set -eu

if command -v apk >/dev/null; then
  apk add build-base clang-dev cmake git rustup
  rustup-init -y --profile minimal
  # bindgen loads libclang at build time, which a statically linked build script can't.
  export RUSTFLAGS='-C target-feature=-crt-static'
else
  dnf module enable -y nodejs:20
  dnf install -y clang-devel cmake gcc-toolset-13-gcc-c++ git make nodejs npm
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal
  export PATH="/opt/rh/gcc-toolset-13/root/usr/bin:$PATH"
fi

npm run setup
