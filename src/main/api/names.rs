//! What an operation is called on the command line: the resource as its path names it, and the verb without the resource.
//! `VpsService.StartVps` is `vps start`, `CatalogService.ListVpsPlans` is `catalog vps-plans`, and what can be created
//! within another resource has a group of its own: `WalletService.CreateDeposit` is `deposit create`.

use gizad::contract::{Contract, Operation};

/// The name of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The group it is in.
    pub(super) group: String,
    /// What it is called there.
    pub(super) word: String,
    /// What else it is called.
    pub(super) other: Option<String>,
    /// Whether the group is that of the whole service.
    pub(super) has_service: bool,
}

impl Named {
    pub(super) fn of(operation: &Operation, contract: &Contract) -> Self {
        let (service, method) = operation.name.split_once('.').unwrap_or(("", &operation.name));
        let own = words(service.strip_suffix("Service").unwrap_or(service));
        let method = words(method);
        let (verb, noun) = method.split_first().map_or(("", &[][..]), |(verb, noun)| (verb.as_str(), noun));
        let rest = without(noun, &own);
        let verb = verb.to_lowercase();
        if rest.is_empty() {
            return Self { group: path(operation), word: verb, other: None, has_service: true };
        }
        let single = rest.concat();
        let single = single.strip_suffix('s').unwrap_or(&single);
        let made = format!("{service}.Create{single}");
        if contract.operation(&made).is_some() {
            return Self { group: kebab(&words(single)), word: verb, other: None, has_service: false };
        }
        let rest = kebab(&rest);
        let whole = format!("{verb}-{rest}");
        // What is read is named by itself, as in a path.
        let (word, other) = match verb.as_str() {
            "get" | "list" => (rest, Some(whole)),
            _ => (whole, None),
        };
        Self { group: path(operation), word, other, has_service: true }
    }
}

/// The first part of the path, which is the same in a whole service.
fn path(operation: &Operation) -> String {
    operation.path.template().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned()
}

/// Words of a name such as `ListVpsPlans`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_uppercase() => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words
}

fn kebab(words: &[String]) -> String {
    words.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>().join("-")
}

/// A noun without the service's own, which may stand in the plural.
fn without(noun: &[String], own: &[String]) -> Vec<String> {
    let same = |window: &[String]| {
        let (said, meant) = (window.concat(), own.concat());
        said == meant || said.strip_suffix('s') == Some(meant.as_str())
    };
    let at = noun.windows(own.len().max(1)).position(same);
    let mut rest = noun.to_vec();
    // What stands behind a service's noun in the catalog is what is listed: `VpsPlans` of `Catalog` stays whole.
    if let Some(at) = at {
        rest.drain(at..at + own.len());
    }
    rest
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let contract = Contract::embedded().expect("sound");
        let mut seen = HashSet::new();
        for operation in contract.all() {
            let named = Named::of(operation, contract);
            for word in std::iter::once(&named.word).chain(&named.other) {
                assert!(
                    seen.insert(format!("{} {word}", named.group)),
                    "{} has the name of another",
                    operation.name
                );
            }
        }
    }

    #[test]
    fn names_are_what_a_person_would_guess() {
        let contract = Contract::embedded().expect("sound");
        for (operation, name) in [
            ("VpsService.ListVps", "vps list"),
            ("VpsService.OpenVpsConsole", "vps open-console"),
            ("VpsService.GetVpsStatus", "vps status"),
            ("VpsService.ListRenewalPrices", "vps renewal-prices"),
            ("WalletService.GetWallet", "wallet get"),
            ("WalletService.ListTransactions", "wallet transactions"),
            ("WalletService.CheckDeposit", "deposit check"),
            ("WalletService.WatchDeposit", "deposit watch"),
            ("VpsService.WatchVps", "vps watch"),
            ("OperationService.WatchOperations", "operations watch"),
            ("CatalogService.ListVpsPlans", "catalog vps-plans"),
            ("TicketService.ListTickets", "tickets list"),
            ("TicketService.ReplyTicket", "tickets reply"),
            ("AccountOrderService.CreateAccountOrder", "account-orders create"),
            ("OperationService.ResolveOperation", "operations resolve"),
            ("ActionService.CallAction", "actions call"),
        ] {
            let named = Named::of(contract.operation(operation).expect("a row"), contract);
            assert_eq!(format!("{} {}", named.group, named.word), name);
        }
    }
}
