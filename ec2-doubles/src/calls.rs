//! What was asked of the fake.

use std::collections::BTreeMap;

use crate::http::{Request, form};

/// One call as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The region that the signature names.
    pub region: String,
    /// The name of the action.
    pub action: String,
    /// The access key that signed the call.
    pub access_key: String,
    /// All parameters but `Action` and `Version`.
    pub parameters: BTreeMap<String, String>,
}

impl Call {
    pub(crate) fn read(request: &Request) -> Self {
        let mut parameters = form(&request.body);
        parameters.remove("Version");
        let action = parameters.remove("Action").unwrap_or_default();
        // AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/ec2/aws4_request, SignedHeaders=..., Signature=...
        let scope = request.headers.get("authorization").and_then(|header| header.split("Credential=").nth(1));
        let mut scope = scope.unwrap_or_default().split('/').map(str::to_owned);
        let access_key = scope.next().unwrap_or_default();
        Self { region: scope.nth(1).unwrap_or_default(), action, access_key, parameters }
    }

    /// The filters of the call, as `NAME=VALUE|VALUE` in alphabetical order.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        let mut filters: Vec<_> =
            self.filter_lists().into_iter().map(|(name, values)| format!("{name}={}", values.join("|"))).collect();
        filters.sort();
        filters
    }

    pub(crate) fn filter_lists(&self) -> Vec<(String, Vec<String>)> {
        let names = (1..).map_while(|n| Some((n, self.parameters.get(&format!("Filter.{n}.Name"))?)));
        names.map(|(n, name)| (name.clone(), self.list(&format!("Filter.{n}.Value")))).collect()
    }

    /// The values of `NAME.1`, `NAME.2`, and so on.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        (1..).map_while(|n| self.parameters.get(&format!("{name}.{n}")).cloned()).collect()
    }
}
