//! Enumerations answer to numbers too.

use napi::bindgen_prelude::{FromNapiValue, JsObjectValue, Object, Unknown};
use napi::{JsValue, ValueType};
use napi_derive::napi;

/// Adds to each exported enumeration of numbers the names by number, as TypeScript's have them and as the generated types
/// promise: `CryptoError[298] === 'BadCertificate'`.
#[napi(module_exports)]
pub fn name_numbers(exports: Object) -> napi::Result<()> {
    for export in Object::keys(&exports)? {
        let value: Unknown = exports.get_named_property_unchecked(&export)?;
        // Classes and functions are of type Function.
        if value.get_type()? == ValueType::Object {
            // SAFETY: the value was just seen to be an object.
            add_names(unsafe { Object::from_napi_value(value.value().env, value.raw())? })?;
        }
    }
    Ok(())
}

fn add_names(mut enumeration: Object) -> napi::Result<()> {
    for name in Object::keys(&enumeration)? {
        let value: Unknown = enumeration.get_named_property_unchecked(&name)?;
        if value.get_type()? == ValueType::Number {
            let number = value.coerce_to_number()?.get_uint32()?;
            enumeration.set_named_property(&number.to_string(), name)?;
        }
    }
    Ok(())
}
