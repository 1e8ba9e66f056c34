//! Who asks, and where names resolve.

use std::any::Any;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::common::{Result, ScalarValue, config_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::shorthand::shorthand;

/// Who asks, for the functions that tell it. It stands in the configuration because functions see nothing else of the
/// session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// The principal's name.
    pub(crate) name: String,
}

impl ConfigExtension for Caller {
    const PREFIX: &'static str = "pintail_caller";
}

impl ExtensionOptions for Caller {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    /// Nobody becomes another by a setting.
    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        config_err!("{key} can't be set")
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

pub(super) fn functions() -> Vec<ScalarUDF> {
    let mut functions = vec![shorthand("version", 0..=0, |_| {
        let (version, engine) = (env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION);
        Ok(lit(format!("Pintail {version} (DataFusion {engine})")))
    })];
    for (name, fact) in [
        ("current_user", Fact::User),
        ("session_user", Fact::User),
        ("user", Fact::User),
        ("current_schema", Fact::Schema),
        // MySQL's word for a schema, which Grafana asks for.
        ("database", Fact::Schema),
        ("current_database", Fact::Catalog),
        ("current_catalog", Fact::Catalog),
    ] {
        let signature = Signature::exact(Vec::new(), Volatility::Stable);
        functions.push(ScalarUDF::from(SessionFunction { name, fact, signature }));
    }
    functions
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fact {
    User,
    Catalog,
    Schema,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SessionFunction {
    name: &'static str,
    fact: Fact,
    signature: Signature,
}

impl SessionFunction {
    fn value(&self, config: &ConfigOptions) -> String {
        match self.fact {
            Fact::User => {
                config.extensions.get::<Caller>().map(|caller| caller.name.clone()).unwrap_or_default()
            }
            Fact::Catalog => config.catalog.default_catalog.clone(),
            Fact::Schema => config.catalog.default_schema.clone(),
        }
    }
}

impl ScalarUDFImpl for SessionFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::from(self.value(&args.config_options))))
    }
}
