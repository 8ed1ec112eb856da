# Several tasks, each with an ENI of its own.

plug second 02:5a:a1:1a:43:43
plug third 02:5a:a1:1a:43:44
plug fourth 02:5a:a1:1a:43:45
number=2
for nic in $(name_of $eni) $(name_of 02:5a:a1:1a:43:43) $(name_of 02:5a:a1:1a:43:44) $(name_of 02:5a:a1:1a:43:45); do
    ip link set "$nic" name "nic$number"
    number=$((number + 1))
done

# of_all COMMAND...: for the four tasks, in parallel; whether all succeed.
of_all() {
    local number jobs='' failed=0
    for number in 2 3 4 5; do
        "$@" $number &
        jobs="$jobs $!"
    done
    for number in $jobs; do wait $number || failed=1; done
    return $failed
}
one_container() { container "task$1" "02:5a:a1:1a:43:4$1" "10.0.0.1$1"; }
one_starts() { call prestart "task$1"; }
one_stops() { call poststop "task$1"; }
all_work() { works task2 && works task3 && works task4 && works task5; }
all_home() {
    home nic2 02:5a:a1:1a:43:42 && home nic3 02:5a:a1:1a:43:43 &&
        home nic4 02:5a:a1:1a:43:44 && home nic5 02:5a:a1:1a:43:45
}
start_all() {
    # Not in parallel: they are to be children of this shell.
    for number in 2 3 4 5; do one_container $number; done
    of_all one_starts
}

topic "four tasks at once"
check "they start" start_all
check "each with its ENI" all_work
end task2 task3 task4 task5
check "killed at once, poststop for all at once" of_all one_stops
check "their ENIs are home" all_home
start_all
end task2 task3 task4 task5
check "killed at once, and started again at once" start_all
check "each with its ENI" all_work
end task2 task3 task4 task5
until_so came_home
check "killed at once, and only gc" $hook gc
check "their ENIs are home" all_home

# Each is called inside what the other is called at home.
start_swapped() {
    container task2 02:5a:a1:1a:43:42 10.0.0.12
    container task3 02:5a:a1:1a:43:43 10.0.0.13
    call prestart task2 ',"com.amazonaws.ecs.eni.interface-name":"nic3"' &&
        call prestart task3 ',"com.amazonaws.ecs.eni.interface-name":"nic2"'
}
swapped() {
    links 'nic("02:5a:a1:1a:43:42").ifname == "nic3"' && links 'nic("02:5a:a1:1a:43:43").ifname == "nic2"'
}

topic "two ENIs come home, each under the other's name"
check "two tasks start" start_swapped
end task2 task3
until_so swapped
check "the kernel swaps the names" swapped
check "gc" $hook gc
check "gives each its own" all_home
start_swapped
end task2 task3
until_so swapped
check "poststop of one" one_stops 2
check "and of the other" one_stops 3
check "give each its own" all_home
start_swapped
end task2 task3
until_so swapped
check "the next task of each" start_all
call poststop task2
call poststop task3
call poststop task4
call poststop task5
check "gives each its own in the end" all_home
end task2 task3 task4 task5
unplug second
unplug third
unplug fourth
