//! Reads the custom options of the descriptors. The only place that knows their names.

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, Value};

/// The extensions that carry facts, looked up once.
pub(super) struct Extensions {
    pub(super) http: ExtensionDescriptor,
    pub(super) action: ExtensionDescriptor,
    pub(super) watch: ExtensionDescriptor,
    pub(super) field: ExtensionDescriptor,
    pub(super) value: ExtensionDescriptor,
    pub(super) rules: ExtensionDescriptor,
}

impl Extensions {
    pub(super) fn of(pool: &DescriptorPool) -> Result<Self, String> {
        let find = |name: &str| {
            pool.get_extension_by_name(name).ok_or_else(|| format!("the extension {name} is missing"))
        };
        Ok(Self {
            http: find("google.api.http")?,
            action: find("gizad.upstream.v1.action")?,
            watch: find("gizad.upstream.v1.watch")?,
            field: find("gizad.upstream.v1.field")?,
            value: find("gizad.upstream.v1.value")?,
            rules: find("buf.validate.field")?,
        })
    }
}

/// The option message under an extension, if it was given.
pub(super) fn given(options: &DynamicMessage, extension: &ExtensionDescriptor) -> Option<DynamicMessage> {
    if !options.has_extension(extension) {
        return None;
    }
    options.get_extension(extension).as_message().cloned()
}

/// A text option; empty when unset.
pub(super) fn text(options: &DynamicMessage, name: &str) -> String {
    options.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A flag; false when unset.
pub(super) fn flag(options: &DynamicMessage, name: &str) -> bool {
    options.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default()
}

/// The number of an enum option.
pub(super) fn number(options: &DynamicMessage, name: &str) -> i32 {
    options.get_field_by_name(name).and_then(|value| value.as_enum_number()).unwrap_or_default()
}

/// A message option, if set.
pub(super) fn message(options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    if !options.has_field_by_name(name) {
        return None;
    }
    options.get_field_by_name(name).and_then(|value| value.as_message().cloned())
}

/// The texts of a repeated option.
pub(super) fn texts(options: &DynamicMessage, name: &str) -> Vec<String> {
    items(options, name).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// The messages of a repeated option.
pub(super) fn messages(options: &DynamicMessage, name: &str) -> Vec<DynamicMessage> {
    items(options, name).iter().filter_map(|value| value.as_message().cloned()).collect()
}

fn items(options: &DynamicMessage, name: &str) -> Vec<Value> {
    options
        .get_field_by_name(name)
        .and_then(|value| value.as_list().map(<[Value]>::to_vec))
        .unwrap_or_default()
}
