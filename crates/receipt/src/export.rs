//! Jobs in other people's words: PROV-JSON, Process Run RO-Crate, OpenLineage. Views: nothing is
//! decided by them.

use alloy_primitives::{Address, B256};
use serde_json::{Map, Value, json};

use crate::summary::JobSummary;

/// A time as ISO 8601 has it, in UTC.
fn time(secs: u64) -> String {
    let secs = i64::try_from(secs).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(secs).unwrap_or(jiff::Timestamp::MAX).to_string()
}

fn slot(root: B256) -> String {
    format!("assay:slot/{}", hex::encode(root))
}

fn program(id: B256) -> String {
    format!("assay:program/{}", hex::encode(id))
}

fn account(address: Address) -> String {
    format!("assay:account/{}", hex::encode(address))
}

fn job(id: B256) -> String {
    format!("assay:job/{}", hex::encode(id))
}

/// Jobs as a W3C PROV document (PROV-JSON, <https://www.w3.org/submissions/prov-json/>). Slots and
/// accounts that several jobs share are there once, so a chain of jobs is one graph.
pub fn prov(lives: &[JobSummary]) -> Value {
    let mut document = Prov::default();
    for summary in lives {
        document.add(summary);
    }
    json!({
        "prefix": { "assay": "urn:assay:" },
        "entity": document.entities,
        "activity": document.activities,
        "agent": document.agents,
        "used": document.used,
        "wasGeneratedBy": document.generated,
        "wasAssociatedWith": document.associated,
        "actedOnBehalfOf": document.on_behalf,
        "wasDerivedFrom": document.derived,
        "wasInformedBy": document.informed,
    })
}

#[derive(Default)]
struct Prov {
    entities: Map<String, Value>,
    activities: Map<String, Value>,
    agents: Map<String, Value>,
    used: Map<String, Value>,
    generated: Map<String, Value>,
    associated: Map<String, Value>,
    on_behalf: Map<String, Value>,
    derived: Map<String, Value>,
    informed: Map<String, Value>,
}

impl Prov {
    fn add(&mut self, summary: &JobSummary) {
        let (activity, code) = (job(summary.job), program(summary.program));
        let (provider, requester) = (account(summary.provider), account(summary.requester));
        let mut facts = json!({ "assay:ending": summary.ending, "assay:requester": requester });
        facts["prov:endTime"] = time(summary.claimed_secs.unwrap_or(summary.ended_secs)).into();
        if let Some(steps) = summary.steps {
            facts["assay:steps"] = steps.to_string().into();
        }
        if let Some(outcome) = summary.outcome {
            facts["assay:outcome"] = outcome.to_string().into();
        }
        self.activities.insert(activity.clone(), facts);
        self.entities.insert(code.clone(), json!({ "prov:type": "assay:Program" }));
        for agent in [&provider, &requester] {
            self.agents.insert(agent.clone(), json!({ "prov:type": "assay:Account" }));
        }
        let inputs = [
            ("program", Some(code)),
            ("input", summary.input.map(slot)),
            ("dataset", summary.dataset.map(slot)),
        ];
        let read: Vec<_> = inputs.into_iter().filter_map(|(role, id)| Some((role, id?))).collect();
        let id = |kind: &str| format!("_:{kind}-{}", hex::encode(summary.job));
        for (role, entity) in &read {
            self.entities
                .entry(entity.clone())
                .or_insert_with(|| json!({ "prov:type": "assay:Slot" }));
            let used =
                json!({ "prov:activity": activity, "prov:entity": entity, "prov:role": role });
            self.used.insert(id(role), used);
        }
        let associated = json!({ "prov:activity": activity, "prov:agent": provider });
        self.associated.insert(id("run"), associated);
        let on_behalf = json!({
            "prov:delegate": provider, "prov:responsible": requester, "prov:activity": activity,
        });
        self.on_behalf.insert(id("order"), on_behalf);
        if let Some(earlier) = summary.input_of {
            let said = json!({
                "prov:informed": activity, "prov:informant": job(earlier), "assay:said_by": requester,
            });
            self.informed.insert(id("result-of"), said);
        }
        let Some(output) = summary.output.map(slot) else { return };
        self.entities.entry(output.clone()).or_insert_with(|| json!({ "prov:type": "assay:Slot" }));
        let generated = json!({ "prov:entity": output, "prov:activity": activity });
        self.generated.insert(id("output"), generated);
        // What lies between input and output: the trace opens to each intermediate state.
        let states = [("trace", "Trace", summary.trace), ("state", "State", summary.final_state)];
        for (name, kind, hash) in states {
            let Some(hash) = hash else { continue };
            let entity = format!("assay:{name}/{}", hex::encode(hash));
            let generated = json!({ "prov:entity": entity, "prov:activity": activity });
            self.entities.insert(entity, json!({ "prov:type": format!("assay:{kind}") }));
            self.generated.insert(id(name), generated);
        }
        for (role, entity) in
            read.iter().filter(|(role, entity)| *role != "program" && *entity != output)
        {
            let derived = json!({
                "prov:generatedEntity": output, "prov:usedEntity": entity, "prov:activity": activity,
            });
            self.derived.insert(id(&format!("from-{role}")), derived);
        }
    }
}

/// A job as the metadata of a Process Run RO-Crate (<https://w3id.org/ro/wfrun/process/0.5>), whose
/// one file is the receipt.
pub fn ro_crate(summary: &JobSummary) -> Value {
    let name = format!("Assay job {}", summary.job);
    let ended = time(summary.ended_secs);
    let profile = "https://w3id.org/ro/wfrun/process/0.5";
    let failure = summary.failure();
    let status = match &failure {
        None => "http://schema.org/CompletedActionStatus",
        Some(_) => "http://schema.org/FailedActionStatus",
    };
    let reference = |id: &str| json!({ "@id": id });
    let value = |id: &str, name: &str, root: B256| {
        json!({ "@id": id, "@type": "PropertyValue", "name": name, "propertyID": "assay slot root",
                "value": hex::encode(root) })
    };
    let party = |id: &str, address: Address| {
        json!({ "@id": id, "@type": "Organization", "name": format!("Account {address}"),
                "identifier": address.to_string() })
    };
    let slots = [("#input", "input", summary.input), ("#dataset", "dataset", summary.dataset)];
    let read: Vec<_> =
        slots.into_iter().filter_map(|(id, name, root)| Some((id, name, root?))).collect();
    let mut result = vec![reference("receipt.json")];
    result.extend(summary.output.map(|_| reference("#output")));
    let mut action = json!({
        "@id": "#run",
        "@type": "CreateAction",
        "name": format!("Run of {}", summary.job),
        "description": format!("Ordered by {}, run by {}, ended by {}", summary.requester, summary.provider, summary.ending),
        "instrument": reference("#program"),
        "object": read.iter().map(|(id, ..)| reference(id)).collect::<Vec<_>>(),
        "result": result,
        "agent": reference("#provider"),
        "endTime": time(summary.claimed_secs.unwrap_or(summary.ended_secs)),
        "actionStatus": status,
    });
    if let Some(failure) = failure {
        action["error"] = failure.into();
    }
    let mut graph = vec![
        json!({ "@id": "ro-crate-metadata.json", "@type": "CreativeWork",
                "conformsTo": reference("https://w3id.org/ro/crate/1.1"), "about": reference("./") }),
        json!({ "@id": "./", "@type": "Dataset", "name": name,
                "description": "What became of a job, as its receipt proves it",
                "datePublished": ended, "license": reference("https://creativecommons.org/publicdomain/zero/1.0/"),
                "conformsTo": reference(profile), "hasPart": [reference("receipt.json")],
                "mentions": [reference("#run")] }),
        json!({ "@id": profile, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5" }),
        json!({ "@id": "https://creativecommons.org/publicdomain/zero/1.0/", "@type": "CreativeWork",
                "name": "CC0 1.0 Universal", "description": "Public domain dedication" }),
        json!({ "@id": "receipt.json", "@type": "File", "name": "Receipt",
                "description": "assay.receipt/1, checked by `assay verify`",
                "encodingFormat": "application/vnd.assay.receipt+json" }),
        json!({ "@id": "#program", "@type": "SoftwareApplication", "name": format!("Program {}", summary.program),
                "identifier": summary.program.to_string(), "softwareVersion": summary.program.to_string() }),
        party("#provider", summary.provider),
        party("#requester", summary.requester),
        action,
    ];
    graph.extend(read.iter().map(|(id, name, root)| value(id, name, *root)));
    graph.extend(summary.output.map(|root| value("#output", "output", root)));
    json!({
        "@context": ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"],
        "@graph": graph,
    })
}

/// A job as an OpenLineage run event (<https://openlineage.io/spec/2-0-2/OpenLineage.json>).
pub fn open_lineage(summary: &JobSummary) -> Value {
    let namespace = format!("assay://{}/{}", summary.market.chain_id, summary.market.market);
    let dataset = |root: B256| json!({ "namespace": namespace, "name": format!("slot/{}", hex::encode(root)) });
    let inputs: Vec<_> =
        [summary.input, summary.dataset].into_iter().flatten().map(dataset).collect();
    let outputs: Vec<_> = summary.output.into_iter().map(dataset).collect();
    json!({
        "eventType": if summary.failure().is_none() { "COMPLETE" } else { "FAIL" },
        "eventTime": time(summary.ended_secs),
        "run": { "runId": run_id(summary.job) },
        "job": { "namespace": namespace, "name": format!("program/{}", hex::encode(summary.program)) },
        "inputs": inputs,
        "outputs": outputs,
        "producer": concat!("urn:assay:version:", env!("CARGO_PKG_VERSION")),
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    })
}

/// A UUID of a job: the first half of its id, marked as version 8 (RFC 9562).
fn run_id(job: B256) -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|k| job[k]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}
