#!/bin/sh
# Builds the addon inside a Linux image, as root, with the working copy as the current folder.
# The image decides which C library the binary needs: almalinux:8 has glibc 2.28, alpine has musl.
set -eu

if command -v apk >/dev/null; then
  # Alpine's own Rust: rustup's links build scripts statically on musl, and then bindgen can't load libclang.
  apk add build-base cargo clang-dev cmake git nodejs npm rust
else
  dnf module enable -y nodejs:20
  dnf install -y clang-devel cmake gcc-toolset-13-gcc-c++ git make nodejs npm
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal
  export PATH="/opt/rh/gcc-toolset-13/root/usr/bin:$PATH"
fi

npm run setup
