//! What has to hold whatever the bytes: a module for each fuzz target, and `holds` in each panics where it does not.
//!
//! The fuzz targets call them with what libFuzzer comes up with. The ordinary test suite has the same modules
//! (`tests/it/properties.rs`) and calls them with the seeds and with changes of those.

mod properties;

pub use properties::{
    challenge, chunked, config, connection, field, fields, form, head, hyper, response, router,
};
