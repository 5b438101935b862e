"""The virtual phone's battery, thermal status, screen and settings: Android's commands, as scripts on plain files.

Everything here is made up, and says so where a client reads it: the property `ro.mobiledeploy.virtual`, the
battery's technology, the thermal zone's name. Whoever wants another phone (a hot one, an empty battery) writes the
files, before the phone starts or while it runs. The outputs are as Android 12 to 15 write them; sources in AOSP's
frameworks/base, services/core/java/com/android/server: BatteryService, power/PowerManagerService,
power/ThermalManagerService, power/PowerManagerShellCommand; cmds/svc PowerCommand; SettingsProvider
SettingsService. Zones: Documentation/ABI/testing/sysfs-class-thermal, in millidegrees.
"""

from __future__ import annotations

# File in the phone's folder → what it holds on a new phone. A battery at 25 °C on its charger, nothing too warm.
INITIAL = {
    "system/state/battery_level": "100",
    "system/state/battery_temperature": "250",  # tenths of °C, as Android counts
    "system/state/battery_status": "5",  # BatteryManager.BATTERY_STATUS_FULL
    "system/state/battery_plugged": "usb",  # ac, usb, wireless, dock or none
    "system/state/thermal_status": "0",  # PowerManager.THERMAL_STATUS_NONE
    "system/state/wakefulness": "Awake",  # or Asleep, Dozing, Dreaming
    "system/state/fixed_performance_mode": "false",  # true, false, or unsupported: it is refused then
    "system/state/settings/global/stay_on_while_plugged_in": "0",
    "system/state/settings/global/low_power": "0",
    "sys/class/thermal/thermal_zone0/type": "cpu-virtual",
    "sys/class/thermal/thermal_zone0/temp": "30000",
}

_DUMPSYS = """\
#!/bin/sh
# dumpsys battery|power|thermalservice, of a virtual phone: the values are those of the files read here.
state=@ROOT@/system/state
get() { value=; { read -r value <"$1"; } 2>/dev/null; echo "$value"; }
plugged() { if [ "$(get "$state/battery_plugged")" = "$1" ]; then echo true; else echo false; fi; }
temperatures() {
    for zone in @ROOT@/sys/class/thermal/thermal_zone[0-9]*; do
        milli=$(get "$zone/temp")
        milli=${milli:-0}
        celsius=$((milli / 1000)).$((milli % 1000 / 100))
        echo "	Temperature{mValue=$celsius, mType=0, mName=$(get "$zone/type"), mStatus=$1}"
    done
}
case $1 in
battery)
    echo "Current Battery Service state:"
    echo "  AC powered: $(plugged ac)"
    echo "  USB powered: $(plugged usb)"
    echo "  Wireless powered: $(plugged wireless)"
    echo "  Dock powered: $(plugged dock)"
    echo "  status: $(get "$state/battery_status")"
    echo "  health: 2"
    echo "  present: true"
    echo "  level: $(get "$state/battery_level")"
    echo "  scale: 100"
    echo "  temperature: $(get "$state/battery_temperature")"
    echo "  technology: virtual" ;;
thermalservice)
    status=$(get "$state/thermal_status")
    echo "IsStatusOverride: false"
    echo "ThermalEventListeners:"
    echo "ThermalStatusListeners:"
    echo "Thermal Status: $status"
    echo "Cached temperatures:"
    echo "HAL Ready: true"
    echo "HAL connection:"
    echo "	virtual phone connected: yes"
    echo "Current temperatures from HAL:"
    temperatures "$status"
    echo "Current cooling devices from HAL:" ;;
power)
    echo "POWER MANAGER (dumpsys power)"
    echo
    echo "Power Manager State:"
    echo "  mWakefulness=$(get "$state/wakefulness")"
    echo "  mStayOnWhilePluggedInSetting=$(get "$state/settings/global/stay_on_while_plugged_in")" ;;
*)
    echo "Can't find service: $1" >&2
    exit 1 ;;
esac
"""

_CMD = """\
#!/bin/sh
# cmd power set-fixed-performance-mode-enabled true|false: kept in a file, nothing else comes of it.
mode=@ROOT@/system/state/fixed_performance_mode
case "$1 $2" in
"power set-fixed-performance-mode-enabled") ;;
power\\ *) echo "Unknown command: $2"; exit 255 ;;
*) echo "cmd: Can't find service: $1" >&2; exit 20 ;;
esac
if [ "$(cat "$mode" 2>/dev/null)" = unsupported ]; then
    echo "Failed to set FIXED_PERFORMANCE mode" >&2
    echo "This is likely because Power HAL AIDL is not implemented on this device" >&2
    exit 255
fi
if [ "$3" = true ]; then echo true >"$mode"; else echo false >"$mode"; fi
"""

_SETTINGS = """\
#!/bin/sh
# settings get|put|delete global|secure|system KEY [VALUE]: a file each
case $2 in global|secure|system) ;; *) echo "Invalid namespace '$2'" >&2; exit 255 ;; esac
case $3 in ''|.*|*[!A-Za-z0-9_.]*) echo "Bad arguments" >&2; exit 255 ;; esac
folder=@ROOT@/system/state/settings/$2
case $1 in
get) if [ -f "$folder/$3" ]; then cat "$folder/$3"; else echo null; fi ;;
put) mkdir -p "$folder" && printf '%s\\n' "$4" >"$folder/$3" ;;
delete)
    if [ -f "$folder/$3" ]; then rm "$folder/$3" && echo "Deleted 1 rows"; else echo "Deleted 0 rows"; fi ;;
*) echo "Invalid command: $1" >&2; exit 255 ;;
esac
"""

_SVC = """\
#!/bin/sh
# svc power stayon true|false|usb|ac|wireless|dock: BatteryManager.BATTERY_PLUGGED_* as bits
case "$1 $2 $3" in
"power stayon true") value=15 ;;
"power stayon false") value=0 ;;
"power stayon ac") value=1 ;;
"power stayon usb") value=2 ;;
"power stayon wireless") value=4 ;;
"power stayon dock") value=8 ;;
*) echo "usage: svc power stayon [true|false|usb|ac|wireless|dock]" >&2; exit 255 ;;
esac
[ "$value" = 0 ] || echo Awake >@ROOT@/system/state/wakefulness
exec settings put global stay_on_while_plugged_in "$value"
"""

_INPUT = """\
#!/bin/sh
# input keyevent KEYCODE_WAKEUP|KEYCODE_SLEEP: the screen's state and nothing else
case "$1 $2" in
"keyevent KEYCODE_WAKEUP"|"keyevent 224") echo Awake >@ROOT@/system/state/wakefulness ;;
"keyevent KEYCODE_SLEEP"|"keyevent 223") echo Asleep >@ROOT@/system/state/wakefulness ;;
*) echo "the virtual phone has no other keys" >&2; exit 255 ;;
esac
"""

# Name → script, in which @ROOT@ stands for the phone's folder.
COMMANDS = {"dumpsys": _DUMPSYS, "cmd": _CMD, "settings": _SETTINGS, "svc": _SVC, "input": _INPUT}
