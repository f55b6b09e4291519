//! A descriptor that is closed only while it is ours.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

/// A file descriptor of ours. Somebody else in the process may close it under us, and its number may by then stand for
/// something of theirs: that is left alone.
#[derive(Debug)]
pub(super) struct Descriptor {
    file: ManuallyDrop<File>,
    /// What it stands for as long as it is ours.
    inode: u64,
}

impl Descriptor {
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let file = File::from(descriptor);
        let inode = file.metadata()?.ino();
        Ok(Self {
            file: ManuallyDrop::new(file),
            inode,
        })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.ino() == self.inode) {
            // SAFETY: it is dropped here, once, and used no more.
            unsafe { ManuallyDrop::drop(&mut self.file) }
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
