//! Tables: the bytes choose routes and requests, and the table must agree with the plain matcher of the property test.

#![no_main]

use libfuzzer_sys::fuzz_target;
use penstock_router::route::RouteTable;

#[path = "../../tests/route/oracle.rs"]
mod oracle;

use oracle::Choices;

fuzz_target!(|bytes: &[u8]| {
    let (table, requests) = bytes.split_at(bytes.len() * 3 / 4);
    let routes = oracle::routes(&mut Choices(table));
    let compiled = RouteTable::compile(routes.clone());
    for mut choices in requests.chunks(14).map(Choices) {
        let request = oracle::request(&mut choices);
        let got = compiled.find(&request.key()).map(|found| *found.action);
        assert_eq!(got, oracle::find(&routes, &request), "{request:?}\n{routes:#?}");
    }
});
