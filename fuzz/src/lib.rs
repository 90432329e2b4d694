//! Properties that hold for all bytes. Each fuzz target has a module. Its function `holds` panics if the
//! property does not hold.
//!
//! The fuzz targets call these functions with libFuzzer's inputs. The ordinary test suite has the same
//! modules (`tests/it/properties.rs`). It calls them with the seeds and with mutations of the seeds.

mod properties;

pub use properties::{
    challenge, chunked, config, connection, field, fields, form, head, http2, http2_head, hyper, response,
    router,
};
