//! The OpenAPI document's frame, and the schemas of what other crates define.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use crate::limits::REASON_CODE_BYTES_MAX;
use crate::problem::{CONTENT_TYPE, Problem};
use crate::rules::{Who, rule_of};
use crate::signing::header;

/// What stands before the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Assay broker",
        version = "1",
        description = "Orders, refusals, offers, wrapped keys and blobs of one market. It can delay; it can't steal, forge or read. \
                       See spec/broker.md.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem))
)]
pub(crate) struct Document;

/// Every operation may answer a problem, and all but the public ones want their request signed.
pub(crate) fn finish(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let problem = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(RefOr::Ref(problem))).build();
    let response = ResponseBuilder::new()
        .description("A problem (RFC 9457); spec/broker.md lists the types")
        .content(CONTENT_TYPE, content)
        .build();
    let components = document.components.get_or_insert_default();
    components.responses.insert("Problem".to_owned(), response.into());
    for (path, item) in &mut document.paths.paths {
        if let Some(head) = &mut item.head {
            // One function answers both, but each operation has its own id.
            head.operation_id = head.operation_id.as_ref().map(|id| format!("head_{id}"));
        }
        let operations = [
            ("GET", &mut item.get),
            ("HEAD", &mut item.head),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
        ];
        let operations = operations
            .into_iter()
            .filter_map(|(method, operation)| Some((rule_of(method, path)?, operation.as_mut()?)));
        for (rule, operation) in operations {
            if matches!(rule.who, Who::Signer(_)) {
                operation.parameters.get_or_insert_default().extend(signed_headers());
            }
            let responses = &mut operation.responses.responses;
            for response in responses.values_mut() {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description = "Here it is".to_owned();
                }
            }
            let problem = RefOr::Ref(Ref::from_response_name("Problem"));
            responses.insert("default".to_owned(), problem);
        }
    }
    document
}

/// What signs a request (spec/access.md).
fn signed_headers() -> impl Iterator<Item = RefOr<Parameter>> {
    let headers = [
        (header::ACCOUNT, "Who signs the request: an address", Required::True),
        (header::ROLE, "In which role", Required::True),
        (header::DIGEST, "SHA-256 of the body, 0x and 64 hex digits", Required::True),
        (header::NONCE, "Used once: the broker's epoch and 16 bytes more", Required::True),
        (header::EXPIRES, "When the signature ends, in Unix seconds", Required::True),
        (header::SIGNATURE, "Over the EIP-712 struct `Request`", Required::True),
        (header::CAPABILITIES, "A chain of capabilities, if in another's name", Required::False),
    ];
    headers.into_iter().map(|(name, description, required)| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(required)
            .description(Some(description))
            .schema(Some(text))
            .build();
        RefOr::T(header)
    })
}

/// Bytes as they are.
pub(crate) struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let binary = ObjectBuilder::new().schema_type(Type::String);
        binary.format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).build().into()
    }
}

impl ToSchema for Binary {}

pub(crate) fn order() -> Object {
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

pub(crate) fn deployment() -> Object {
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

pub(crate) fn reason() -> Object {
    let code = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let code = code.max_length(Some(REASON_CODE_BYTES_MAX));
    ObjectBuilder::new().property("code", code).required("code").build()
}

pub(crate) fn dataset() -> Object {
    let object = ObjectBuilder::new().property("name", name()).property("version", integer());
    object.required("name").required("version").build()
}

pub(crate) fn capability() -> Object {
    let plain =
        |text: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(text)).build();
    fields([
        ("issuer", address()),
        ("holder", address()),
        ("role", plain("One of those that spec/access.md lists")),
        ("methods", plain("Some of GET,HEAD,POST,PUT, in this order")),
        ("pathPrefix", plain("/v1/ and what goes on")),
        ("notAfter", integer()),
        ("parent", hash()),
    ])
}

pub(crate) fn name() -> Object {
    text("^[a-z0-9-]{1,64}$", "Lower-case letters, digits and -")
}

pub(crate) fn wrap() -> Object {
    text("^0x([0-9a-f]{2}){1,4096}$", "1 to 4,096 bytes")
}

pub(crate) fn epoch() -> Object {
    text("^0x[0-9a-f]{32}$", "16 bytes")
}

pub(crate) fn hash() -> Object {
    text("^0x[0-9a-f]{64}$", "32 bytes")
}

pub(crate) fn address() -> Object {
    text("^0x[0-9a-fA-F]{40}$", "An address")
}

pub(crate) fn signature() -> Object {
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
