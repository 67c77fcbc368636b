//! The OpenAPI document's frame.

use assay_protocol::{PROBLEM_TYPE, Problem, Who, header, permission_of};
use utoipa::OpenApi;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};

/// What stands before the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Assay broker",
        version = "1",
        description = "Orders, refusals, offers, wrapped keys and blobs of one market. A broker can delay; it can't steal, forge or read. \
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
        .content(PROBLEM_TYPE, content)
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
        let operations = operations.into_iter().filter_map(|(method, operation)| {
            Some((permission_of(method, path)?, operation.as_mut()?))
        });
        for (row, operation) in operations {
            if matches!(row.who, Who::Signer(_)) {
                operation.parameters.get_or_insert_default().extend(signed_headers());
            }
            let responses = &mut operation.responses.responses;
            for response in responses.values_mut() {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description = "Found".to_owned();
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
        (header::ACCOUNT, "The account that signs the request: an address", Required::True),
        (header::ROLE, "The role that it acts in", Required::True),
        (header::DIGEST, "The SHA-256 of the body: 0x and 64 hex digits", Required::True),
        (
            header::NONCE,
            "A number that is used once: the broker's epoch and 16 more bytes",
            Required::True,
        ),
        (header::EXPIRES, "When the signature expires, in Unix seconds", Required::True),
        (
            header::SIGNATURE,
            "The account's signature over the EIP-712 struct `Request`",
            Required::True,
        ),
        (
            header::CAPABILITIES,
            "A chain of capabilities, if the request is in another account's name",
            Required::False,
        ),
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
