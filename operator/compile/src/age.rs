//! The age of objects, which settles conflicts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Unix seconds of an object's creation; 0 where it was never created, as in a file.
pub(crate) fn created_at(metadata: &ObjectMeta) -> i64 {
    metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}
