//! Prints the OpenAPI document: `cargo run -p assay-broker --example openapi > spec/openapi.json`.

fn main() {
    print!("{}", assay_broker::openapi());
}
