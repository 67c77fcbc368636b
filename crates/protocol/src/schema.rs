//! JSON schemas of types that other crates define, for the OpenAPI document.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::limits::REASON_CODE_BYTES_MAX;

/// Bytes as they are.
#[derive(Debug)]
pub struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let binary = ObjectBuilder::new().schema_type(Type::String);
        binary.format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).build().into()
    }
}

impl ToSchema for Binary {}

/// An order.
pub fn order() -> Object {
    let price = fields([
        ("min", amount()),
        ("max", amount()),
        ("base", amount()),
        ("mebistep", amount()),
        ("rampStartAt", amount()),
        ("rampSecs", integer()),
    ]);
    fields([
        ("requester", address()),
        ("provider", address()),
        ("beneficiary", address()),
        ("programId", hash()),
        ("inputRoot", hash()),
        ("datasetRoot", hash()),
        ("termsHash", hash()),
        ("nonce", amount()),
        ("stepLimit", integer()),
        ("verifierId", integer()),
        ("lockDeadline", amount()),
        ("beginSecs", integer()),
        ("runSecs", integer()),
        ("windowSecs", integer()),
        ("stake", amount()),
        ("lapseFee", amount()),
        ("chunkFee", amount()),
        ("dataOwner", address()),
        ("dataFee", amount()),
        ("compensationBps", integer()),
        ("bountyBps", integer()),
        ("price", price),
    ])
}

/// The addresses of a market's contracts.
pub fn deployment() -> Object {
    fields([
        ("schema", text("^assay.deployment/1$", "Its form")),
        ("chainId", integer()),
        ("genesisHash", hash()),
        ("fromBlock", integer()),
        ("token", address()),
        ("market", address()),
        ("stakes", address()),
        ("verifiers", address()),
        ("disputes", address()),
        ("step", address()),
        ("anchors", address()),
        ("fraudProofs", integer()),
    ])
}

/// The reason of a refusal.
pub fn reason() -> Object {
    let code = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let code = code.max_length(Some(REASON_CODE_BYTES_MAX));
    ObjectBuilder::new().property("code", code).required("code").build()
}

/// A dataset's document.
pub fn dataset() -> Object {
    let object = ObjectBuilder::new().property("name", name()).property("version", integer());
    object.required("name").required("version").build()
}

/// A capability.
pub fn capability() -> Object {
    let plain =
        |text: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(text)).build();
    fields([
        ("issuer", address()),
        ("holder", address()),
        ("role", plain("A role that spec/access.md lists")),
        ("methods", plain("Some of GET,HEAD,POST,PUT, in this order")),
        ("pathPrefix", plain("A path that begins with /v1/")),
        ("notAfter", integer()),
        ("parent", hash()),
    ])
}

/// A dataset's name.
pub fn name() -> Object {
    text("^[a-z0-9-]{1,64}$", "Lower-case letters, digits and -")
}

/// A wrap's bytes.
pub fn wrap() -> Object {
    text("^0x([0-9a-f]{2}){1,4096}$", "1 to 4,096 bytes")
}

/// A broker's epoch.
pub fn epoch() -> Object {
    text("^0x[0-9a-f]{32}$", "16 bytes")
}

/// 32 bytes.
pub fn hash() -> Object {
    text("^0x[0-9a-f]{64}$", "32 bytes")
}

/// An account.
pub fn address() -> Object {
    text("^0x[0-9a-fA-F]{40}$", "An address")
}

/// A key's signature.
pub fn signature() -> Object {
    text("^0x[0-9a-f]{130}$", "65 bytes: r, s, v")
}

fn amount() -> Object {
    text("^0x[0-9a-f]{1,64}$", "A number in hex digits")
}

fn integer() -> Object {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    number.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))).build()
}

fn text(pattern: &str, description: &str) -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    text.description(Some(description)).build()
}

/// An object that has these and no others.
fn fields<const N: usize>(fields: [(&str, Object); N]) -> Object {
    let mut object = ObjectBuilder::new();
    for (name, schema) in fields {
        object = object.property(name, schema).required(name);
    }
    object.build()
}
