//! Buffers of JavaScript's that a call writes to.

/// A typed array, borrowed for one call. napi's macro takes `&mut [u8]` for a class of ours; under this name it knows it,
/// also in TypeScript.
pub type Uint8ArraySlice<'a> = &'a mut [u8];

/// The same for an `Int32Array`.
pub type Int32ArraySlice<'a> = &'a mut [i32];

/// The same for a `Float64Array`.
pub type Float64ArraySlice<'a> = &'a mut [f64];
