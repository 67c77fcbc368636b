//! The committed document is the generated one, valid in what a tool would trip over, and complete.

mod common;
mod watch;

use std::collections::BTreeSet;

use common::{Fixture, http, order};
use serde_json::Value;

const COMMITTED: &str = include_str!("../../../spec/openapi.json");

fn document() -> Value {
    serde_json::from_str(COMMITTED).expect("JSON")
}

#[test]
fn the_committed_document_is_the_generated_one() {
    assert!(
        COMMITTED == assay_broker::openapi(),
        "spec/openapi.json is stale; write it anew:\n\
         cargo run -p assay-broker --example openapi > openapi.json && mv openapi.json spec/"
    );
}

#[tokio::test]
async fn the_broker_serves_it() {
    let fixture = Fixture::new().await;
    let answer = http().get(fixture.url("/v1/openapi.json")).send().await.expect("sent");
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.text().await.expect("a body"), COMMITTED);
}

#[test]
fn it_lists_every_route() {
    let document = document();
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("an item").keys() {
            found.insert(format!("{method} {path}"));
        }
    }
    let expected = [
        "get /v1/market",
        "get /v1/health",
        "get /v1/openapi.json",
        "get /v1/orders",
        "post /v1/orders",
        "get /v1/orders/events",
        "get /v1/orders/{job_id}",
        "get /v1/orders/{job_id}/refusals",
        "post /v1/refusals",
        "get /v1/offers",
        "put /v1/offers/{provider}",
        "get /v1/programs/{id}",
        "head /v1/programs/{id}",
        "put /v1/programs/{id}",
        "get /v1/slots/{root}",
        "head /v1/slots/{root}",
        "put /v1/slots/{root}",
        "get /v1/envelopes/{sha256}",
        "head /v1/envelopes/{sha256}",
        "put /v1/envelopes/{sha256}",
        "get /v1/seal-keys/{account}",
        "put /v1/seal-keys/{account}",
        "get /v1/wraps/{job_id}/{recipient}",
        "put /v1/wraps/{job_id}/{recipient}/{slot}",
        "post /v1/key-refusals",
        "get /v1/orders/{job_id}/key-refusals",
        "get /v1/datasets",
        "get /v1/datasets/{owner}/{name}",
        "put /v1/datasets/{owner}/{name}",
        "get /v1/owners/{owner}/documents",
        "post /v1/owners/{owner}/documents",
        "post /v1/capability-revocations",
        "post /v1/log/add",
        "get /v1/log/key",
        "get /v1/log/checkpoint",
        "get /v1/log/cosigned",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn it_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let (mut ids, mut operations) = (BTreeSet::new(), 0);
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("an item").values() {
            operations += 1;
            ids.insert(operation["operationId"].as_str().expect("an id"));
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.contains_key("default"), "any operation may answer a problem");
            for response in responses.values() {
                let is_whole =
                    response.get("$ref").is_some() || response["description"].is_string();
                assert!(is_whole, "{response}");
            }
        }
    }
    assert_eq!(ids.len(), operations, "operation ids are unique");
    let mut references = 0;
    references_hold(&document, &document, &mut references);
    assert!(references > 20, "{references}: this test would show nothing");
}

fn references_hold(document: &Value, value: &Value, count: &mut u64) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("within the document");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                *count += 1;
            }
            members.values().for_each(|member| references_hold(document, member, count));
        }
        Value::Array(items) => items.iter().for_each(|item| references_hold(document, item, count)),
        _ => {}
    }
}

#[test]
fn orders_have_the_members_that_the_schema_names() {
    let document = document();
    let mut order = serde_json::to_value(order(1, 1)).expect("written");
    // An order may have terms, which are anybody's.
    let properties = &document["components"]["schemas"]["SignedOrder"]["properties"]["order"];
    same_members(&order["order"].take(), properties);
    let names: BTreeSet<_> = document["components"]["schemas"]["SignedOrder"]["properties"]
        .as_object()
        .expect("an object's schema")
        .keys()
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["order", "signature", "terms"]);
    let deployment = serde_json::to_value(common::deployment()).expect("written");
    let info = &document["components"]["schemas"]["MarketInfo"];
    same_members(&deployment, &info["properties"]["deployment"]);
}

fn same_members(value: &Value, schema: &Value) {
    let Value::Object(members) = value else {
        let expected = if value.is_string() { "string" } else { "integer" };
        assert_eq!(schema["type"], expected, "{value}");
        return;
    };
    let names: BTreeSet<_> = members.keys().collect();
    let properties = schema["properties"].as_object().expect("an object's schema");
    assert_eq!(names, properties.keys().collect(), "the schema in crates/broker names others");
    members.iter().for_each(|(name, member)| same_members(member, &properties[name]));
}
