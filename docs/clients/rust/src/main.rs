//! Buys a server, and shows what there is to know about it:
//!
//! ```text
//! gizad-client-example wallet
//! gizad-client-example buy order.json      # the key of the purchase is kept in order.json.key
//! gizad-client-example watch
//! ```
//!
//! `SHOP_GIZAD` is where gizad is (`localhost:7070`, `unix:/run/gizad/gizad.sock`), `SHOP_TOKEN_FILE` has the token, if one is
//! needed.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use client::gizad::operation::State;
use client::gizad::{CreateVpsRequest, Operation};
use client::{Client, Failure, kept_key};

/// What order.json has. (prost reads no JSON by itself.)
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Order {
    plan_id: i64,
    hostname: String,
    password: String,
    os: String,
    billing_cycle: String,
    max_price_vnd: Option<i64>,
}

impl From<Order> for CreateVpsRequest {
    fn from(order: Order) -> Self {
        let Order { plan_id, hostname, password, os, billing_cycle, max_price_vnd } = order;
        Self { plan_id, hostname, password, os, billing_cycle, max_price_vnd, ..Default::default() }
    }
}

fn tell(operation: &Operation) {
    let named = operation.purchase.iter().flat_map(|purchase| &purchase.service_ids).map(ToString::to_string);
    let mut services: Vec<String> = named.collect();
    if services.is_empty() {
        services.extend(operation.evidence.iter().flat_map(|evidence| evidence.service_ids.clone()));
    }
    let services: String = services.iter().map(|one| format!(" service {one}")).collect();
    println!(
        "{} {} {} VND{services}",
        operation.operation_id,
        operation.state().as_str_name(),
        operation.posted_vnd
    );
}

async fn run(arguments: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    let target = env::var("SHOP_GIZAD").unwrap_or_else(|_| "localhost:7070".to_owned());
    let client = Client::new(&target, env::var_os("SHOP_TOKEN_FILE").map(Into::into))?;
    match arguments {
        ["wallet"] => match client.balance().await? {
            Some(balance) => println!("{balance} VND"),
            None => println!("the provider does not say"),
        },
        ["buy", file] => {
            let order: Order = serde_json::from_slice(&fs::read(file)?)?;
            let key = kept_key(Path::new(&format!("{file}.key")))?;
            let operation = client.buy(order.into(), &key, Duration::from_secs(180)).await?;
            tell(&operation);
            if !matches!(operation.state(), State::Succeeded | State::Found) {
                return Ok(2.into());
            }
        }
        ["watch"] => client.watch(|operation| tell(&operation)).await?,
        _ => {
            eprintln!("gizad-client-example wallet | buy ORDER.json | watch");
            return Ok(2.into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments).await.unwrap_or_else(|error| {
        eprintln!("{error}");
        if let Some(failure) = error.downcast_ref::<Failure>() {
            for wrong in &failure.violations {
                eprintln!("  {}: {}", wrong.field, wrong.description);
            }
            eprintln!("  request {}", failure.request_id);
        }
        ExitCode::FAILURE
    })
}
