//! A function of JavaScript's that is called from the event loop.

use std::cell::Cell;
use std::ptr;

use napi::bindgen_prelude::{Function, JsValue, Unknown};
use napi::{Env, sys};

/// What its calls are known by in JavaScript's async hooks.
const NAME: &str = "polykey-quic";

/// A function that is called from the event loop, outside of any call of JavaScript.
pub struct Callback {
    env: sys::napi_env,
    function: Cell<sys::napi_ref>,
    context: Cell<sys::napi_async_context>,
}

impl Callback {
    /// `None` where the runtime refuses, since it is about to end.
    pub fn new(env: Env, function: &Function<'_, (), Unknown<'_>>) -> Option<Self> {
        let callback = Self {
            env: env.raw(),
            function: Cell::new(ptr::null_mut()),
            context: Cell::new(ptr::null_mut()),
        };
        // SAFETY: the values are of this environment and of the call that we are in. What was made when a later step fails
        // is released with the callback.
        unsafe {
            let (mut name, mut context, mut reference) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            let length = NAME.len() as isize;
            ok(sys::napi_create_string_utf8(
                callback.env,
                NAME.as_ptr().cast(),
                length,
                &raw mut name,
            ))?;
            ok(sys::napi_async_init(
                callback.env,
                ptr::null_mut(),
                name,
                &raw mut context,
            ))?;
            callback.context.set(context);
            ok(sys::napi_create_reference(
                callback.env,
                function.raw(),
                1,
                &raw mut reference,
            ))?;
            callback.function.set(reference);
        }
        Some(callback)
    }

    /// Calls it with a number and a text. Promises and ticks are served before this returns. What it throws is an uncaught
    /// exception; a runtime that is about to end doesn't call it.
    pub fn call(&self, number: u32, text: Option<&str>) {
        // SAFETY: on the thread of the environment, outside of any call of JavaScript.
        unsafe {
            let mut scope = ptr::null_mut();
            if ok(sys::napi_open_handle_scope(self.env, &raw mut scope)).is_none() {
                return;
            }
            self.call_in_scope(number, text);
            sys::napi_close_handle_scope(self.env, scope);
        }
    }

    /// # Safety
    ///
    /// On the thread of the environment, outside of any call of JavaScript, in a handle scope.
    unsafe fn call_in_scope(&self, number: u32, text: Option<&str>) -> Option<()> {
        let mut values = [ptr::null_mut(); 2];
        let (mut function, mut global, mut answer) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: as the caller promises.
        unsafe {
            ok(sys::napi_create_uint32(self.env, number, &raw mut values[0]))?;
            match text {
                Some(text) => ok(sys::napi_create_string_utf8(
                    self.env,
                    text.as_ptr().cast(),
                    text.len() as isize,
                    &raw mut values[1],
                ))?,
                None => ok(sys::napi_get_null(self.env, &raw mut values[1]))?,
            }
            ok(sys::napi_get_reference_value(
                self.env,
                self.function.get(),
                &raw mut function,
            ))?;
            ok(sys::napi_get_global(self.env, &raw mut global))?;
            let status = sys::napi_make_callback(
                self.env,
                self.context.get(),
                global,
                function,
                values.len(),
                values.as_ptr(),
                &raw mut answer,
            );
            if status == sys::Status::napi_pending_exception {
                let mut exception = ptr::null_mut();
                ok(sys::napi_get_and_clear_last_exception(self.env, &raw mut exception))?;
                sys::napi_fatal_exception(self.env, exception);
            }
        }
        Some(())
    }

    /// Lets go of what it has of the environment, which may be gone before it is. It must not be called any more.
    pub fn release(&self) {
        let (function, context) = (
            self.function.replace(ptr::null_mut()),
            self.context.replace(ptr::null_mut()),
        );
        // SAFETY: both were made with it, and are released once.
        unsafe {
            if !function.is_null() {
                sys::napi_delete_reference(self.env, function);
            }
            if !context.is_null() {
                sys::napi_async_destroy(self.env, context);
            }
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.release();
    }
}

fn ok(status: sys::napi_status) -> Option<()> {
    (status == sys::Status::napi_ok).then_some(())
}
