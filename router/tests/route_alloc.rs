//! A lookup allocates nothing: counted by an allocator of this test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "a global allocator cannot be written without it; this one only counts and forwards")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use penstock_router::route::RouteTable;

#[path = "route/notation.rs"]
mod notation;

use notation::{route, with_key};

struct Counting;

thread_local!(static COUNT: Cell<usize> = const { Cell::new(0) });

// SAFETY: every call is handed on to the system's allocator unchanged; a constant-initialised `Cell` of a plain number neither
// allocates nor runs a destructor, so the counting cannot come back here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(then: impl FnOnce()) -> usize {
    let before = COUNT.get();
    then();
    COUNT.get() - before
}

#[test]
fn a_lookup_allocates_nothing() {
    let tenants: Vec<String> = (0..20).map(|n| format!("/tenants tenant={n} ?v=1")).collect();
    let tenants: Vec<&str> = tenants.iter().map(String::as_str).collect();
    let table = RouteTable::compile(vec![
        route("n/hosts", &["api.example.com", "*.example.com"], &[(&["=/exact", "/a/b", "/a"], "host")]),
        route("n/any", &[], &[(&["/"], "root"), (&["/q ?q=1 ?r=a", "/q POST"], "query")]),
        route("n/tenants", &[], &[(&tenants, "tenant")]),
        route("n/regex", &["regex.example.com"], &[(&["~/r/[0-9]+", "/h x~v[0-9] ?q~.*"], "regex")]),
    ]);
    for request in [
        "api.example.com/exact",
        "API.Example.COM:8080/a/b/c/d",
        "x.y.z.example.com/a/",
        "x.y.z.example.com/none",
        "other/q?x=%31&q=%31&r=a",
        "other/q?q=2",
        "POST other/q",
        "other/tenants/1?v=1 tenant=17",
        "other/tenants/1?v=2 tenant=17",
        "regex.example.com/r/12345",
        "regex.example.com/r/none",
        "regex.example.com/h?q=abc x=v1",
    ] {
        with_key(request, |key| {
            // Expressions keep scratch memory for each thread from their first use on.
            black_box(table.find(key));
            let count = allocations(|| {
                black_box(table.find(black_box(key)));
            });
            assert_eq!(count, 0, "{request}");
        });
    }
    assert!(allocations(|| drop(black_box(Box::new(1)))) > 0, "the allocator does not count");
}
