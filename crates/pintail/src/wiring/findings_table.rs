//! `system.findings`: what the newest check of the lake found, and what the start found in the journal.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use pintail_engine::SystemTable;
use pintail_identity::Principal;
use pintail_lake::{Finding, Lake};
use pintail_types::{Error, Result};

use super::facts;
use super::system_tables::{batch, schema};

#[derive(Debug)]
pub(super) struct FindingsTable {
    pub(super) lake: Arc<Lake>,
}

static FINDINGS: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(&[
        ("place", DataType::Utf8, false),
        ("message", DataType::Utf8, false),
        ("is_harmless", DataType::Boolean, false),
        ("table_name", DataType::Utf8, true),
        ("repair", DataType::Utf8, true),
        ("is_repaired", DataType::Boolean, false),
    ])
});

impl SystemTable for FindingsTable {
    fn name(&self) -> &'static str {
        "findings"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&FINDINGS)
    }

    /// They name files of the machine.
    fn rows(&self, principal: &Principal) -> Result<RecordBatch> {
        if !principal.is_admin() {
            return Err(Error::forbidden("system.findings is for group admin"));
        }
        let mut findings = self.lake.findings();
        findings.extend(facts::of_journal(&self.lake));
        let text = |pick: fn(&Finding) -> Option<String>| -> ArrayRef {
            Arc::new(findings.iter().map(pick).collect::<StringArray>())
        };
        let flag = |pick: fn(&Finding) -> bool| -> ArrayRef {
            Arc::new(findings.iter().map(|finding| Some(pick(finding))).collect::<BooleanArray>())
        };
        batch(
            self.schema(),
            vec![
                text(|finding| Some(finding.place.clone())),
                text(|finding| Some(finding.message.clone())),
                flag(|finding| finding.is_harmless),
                text(|finding| finding.misleading.first().map(ToString::to_string)),
                text(|finding| finding.repair.clone()),
                flag(|finding| finding.is_repaired),
            ],
        )
    }
}
