use super::*;

const PAUSE: &str = r#""com.amazonaws.ecs.container-name":"~internal~ecs~pause""#;

/// Whether it is found, however the text is cut.
#[track_caller]
fn found(text: impl AsRef<[u8]>) -> bool {
    let (text, detect) = (text.as_ref(), Detect::default());
    let cut_every = |length| {
        let mut mention = Mention::new(&detect);
        text.chunks(length).for_each(|chunk| mention.search(chunk));
        mention.is_found()
    };
    let found = cut_every(text.len().max(1));
    for length in [1, 2, 3, 5, 7, 11, 13] {
        assert_eq!(cut_every(length), found, "cut every {length} bytes");
    }
    found
}

#[test]
fn every_way_to_write_a_key_is_found() {
    for text in [
        r#"{"com.amazonaws.ecs.eni.mtu":"1"}"#,
        r#"{"\u0063om.amazonaws.ecs.eni.mtu":"1"}"#,
        r#"{"com\u002Eamazonaws\u002eecs.eni.mtu":"1"}"#,
        r#"{"\ud83d\u0063om.amazonaws.ecs.eni.mtu":"1"}"#,
        r#"{"\ud83d\ude00com.amazonaws.ecs.eni.mtu":"1"}"#,
        r#"{"\\com.amazonaws.ecs.eni.\"":"1"#,
        r"\u00com.amazonaws.ecs.eni.",
        r"\com.amazonaws.ecs.eni.",
        PAUSE,
        r#""com.amazonaws.ecs.container\u002dname" :	"\u007einternal~ecs~pause""#,
    ] {
        assert!(found(text), "{text}");
    }
    assert!(found([b"\xff\\\xff\0", PAUSE.as_bytes(), b"\xc3"].concat()));
    let all = PREFIX.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
    assert!(found(format!("{}{all}", "x".repeat(70_000))));
}

#[test]
fn other_texts_speak_of_none() {
    for text in [
        "",
        "{}",
        r#"{"com.amazonaws.ecs.container-name":"web","com.amazonaws.ecs.cluster":"c"}"#,
        r#"{"a":"~internal~ecs~pause"}"#,
        r#"{"\\u0063om.amazonaws.ecs.eni.mtu":"1"}"#,
        r#"{"com.amazonaws.ecs\u0000eni.mtu":"1"}"#,
        r#"{"\ud83d":"\udc00\ud83d\ud83d\uzzzz\u12"#,
        r#"{"a":"\"#,
        "\\\u{1f600}",
    ] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn what_the_configuration_says_is_found_however_it_is_written() {
    let detect = Detect { annotation: "io.x/kind".to_owned(), value: "\u{1f600}\"\t".to_owned() };
    let mut mention = Mention::new(&detect);
    mention.search(br#""io.x\/kind":"#);
    assert!(!mention.is_found());
    mention.search(br#""\uD83D\uDE00\"\t""#);
    assert!(mention.is_found());
}

#[test]
fn a_file_is_searched_to_its_end_and_what_is_none_is_not_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, detect) = (folder.path().join("config.json"), Detect::default());
    let ask = || {
        let mut mention = Mention::new(&detect);
        (mention.search_file(&path), mention.is_found())
    };
    assert_eq!(ask(), (false, false));
    fs::write(&path, "x".repeat(17 << 20)).expect("written");
    assert_eq!(ask(), (true, false));
    fs::write(&path, format!("{}{PREFIX}", "x".repeat(17 << 20))).expect("written");
    assert_eq!(ask(), (true, true));
    fs::rename(&path, folder.path().join("other")).expect("renamed");
    std::os::unix::fs::symlink("other", &path).expect("linked");
    assert_eq!(ask(), (true, true));
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert_eq!(ask(), (false, false));
}

#[test]
fn a_long_word_and_none_at_all() {
    let long = "ab".repeat(200);
    let is_in = |word: &str, text: &str| {
        let word = Word::new(word);
        word.is_found || word.is_in(text.as_bytes())
    };
    assert!(is_in(&long, &format!("{}{long}b", "a".repeat(401))));
    assert!(!is_in(&long, &"abb".repeat(400)));
    assert!(is_in("", "") && is_in("a", "ba") && !is_in("ab", "a"));
    for at in 0..70 {
        assert!(is_in(PREFIX, &format!("{}{PREFIX}", "com.amazonaws.".repeat(70).split_at(at).0)));
    }
}

#[test]
fn two_texts_are_not_one() {
    let detect = Detect::default();
    let mut mention = Mention::new(&detect);
    mention.search(b"com.amazonaws.ecs.");
    mention.next_text();
    mention.search(b"eni.");
    assert!(!mention.is_found());
}
